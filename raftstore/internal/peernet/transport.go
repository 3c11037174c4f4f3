package peernet

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/mutant"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A Transport is Raft's network transport, changed in these points:
//
//   - Servers are known by ID, never by address. Raft stores the result of EncodePeer as a vote, and compares the
//     result of LocalAddr to detect another leader; both are IDs here. Two nodes may exchange addresses, and a node's
//     address may change during a term.
//   - Requests of other nodes pass Admit before Raft gets them.
//   - There is no fast path for heartbeats, which changes the term outside Raft's main loop (hashicorp/raft#695).
//   - Other nodes' answers to entries wait until this node has the entries on its own disk; see Durable.
//   - Entries for a node that does not answer heartbeats wait for its next answer; see followerHealth.
//   - Only a transfer that the leader has asked for lets a candidate ask for votes past the leader; see HandedOver.
//   - A node whose log is shorter than it has acknowledged before is reported; see Forgot.
type Transport struct {
	*raft.NetworkTransport
	id     raft.ServerID
	hooks  Hooks
	health followerHealth
	acked  acked
	inbox  chan raft.RPC
	done   chan struct{}
	once   sync.Once
	handed atomic.Uint64 // the term in which this node may take leadership over from a leader that hands over
}

// Hooks are what a Transport asks of its owner. Any of them may be nil.
type Hooks struct {
	// Admit tells whether to pass another node's request to Raft. If not, Admit answers the request, at once or later.
	// It must not block. It may change the request. nil: Raft gets every request.
	Admit func(raft.RPC) bool

	// Durable waits until this node has the entries up to an index on disk. Until then, other nodes' answers to entries
	// are withheld from Raft. An error means that the entries may never be on disk. nil: no answer is withheld.
	Durable func(index uint64) error

	// Sends tells whether this node still leads in a term and the configuration has a member at this address. Entries
	// for a member that does not answer heartbeats wait as long as Sends is true. nil: they are sent all the same.
	Sends func(id serverid.ID, address string, term uint64) bool

	// Forgot is called when a node's log ends at the index last although that node has acknowledged the index acked in
	// the same term. It must not block.
	Forgot func(id serverid.ID, acked, last uint64)
}

// NewTransport makes the transport of the server with an ID, over Raft's own transport. Close closes both.
func NewTransport(id raft.ServerID, network *raft.NetworkTransport, hooks Hooks) *Transport {
	return &Transport{NetworkTransport: network, id: id, hooks: hooks,
		inbox: make(chan raft.RPC), done: make(chan struct{})}
}

// Start begins to accept requests of other nodes, which wait until then. It is called once, when Admit may be called.
func (t *Transport) Start() { go t.receive() }

// receive passes requests of other nodes on to Raft.
func (t *Transport) receive() {
	for {
		select {
		case rpc := <-t.NetworkTransport.Consumer():
			if t.hooks.Admit != nil && !t.hooks.Admit(rpc) {
				continue
			}
			select {
			case t.inbox <- rpc:
			case <-t.done:
				return
			}
		case <-t.done:
			return
		}
	}
}

// Close closes the transport. It may be called twice.
func (t *Transport) Close() error {
	t.once.Do(func() { close(t.done) })
	return t.NetworkTransport.Close()
}

// Consumer gives Raft the requests that it is to answer.
func (t *Transport) Consumer() <-chan raft.RPC { return t.inbox }

// LocalAddr is this server's ID.
func (t *Transport) LocalAddr() raft.ServerAddress {
	if mutant.VoteForPlaces {
		return t.NetworkTransport.LocalAddr()
	}
	return raft.ServerAddress(t.id)
}

// EncodePeer is a server's ID.
func (t *Transport) EncodePeer(id raft.ServerID, address raft.ServerAddress) []byte {
	if mutant.VoteForPlaces {
		return []byte(address)
	}
	return []byte(id)
}

// DecodePeer is the reverse of EncodePeer.
func (t *Transport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler does nothing: see Transport.
func (*Transport) SetHeartbeatHandler(func(raft.RPC)) {}

// Ask hands Raft a request of this node's own and waits for the answer.
func (t *Transport) Ask(rpc raft.RPC) raft.RPCResponse {
	answer := make(chan raft.RPCResponse, 1)
	rpc.RespChan = answer
	select {
	case t.inbox <- rpc:
	case <-t.done:
		return raft.RPCResponse{Error: net.ErrClosed}
	}
	select {
	case r := <-answer:
		return r
	case <-t.done:
		return raft.RPCResponse{Error: net.ErrClosed}
	}
}

// Campaign makes this node a candidate at once, without a pre-vote: the caller has already got a majority of
// pre-votes. It returns when Raft has accepted the request.
func (t *Transport) Campaign() error { return t.Ask(raft.RPC{Command: timeoutNow(t.id)}).Error }

// timeoutNow is the request by which a leader hands over to its successor. Here a node sends the request to itself.
func timeoutNow(id raft.ServerID) *raft.TimeoutNowRequest {
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: []byte(id)}
	return &raft.TimeoutNowRequest{RPCHeader: header}
}

// HandedOver notes that the leader has asked this node to take over in a term. In that term only, this node marks its
// vote requests as those of a transfer; without that mark voters refuse while they have a leader.
func (t *Transport) HandedOver(term uint64) { t.handed.Store(term) }

// RequestVote asks for a vote.
func (t *Transport) RequestVote(id raft.ServerID, address raft.ServerAddress,
	req *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	asked := *req
	asked.LeadershipTransfer = req.LeadershipTransfer && req.Term == t.handed.Load()
	return t.NetworkTransport.RequestVote(id, target(id, address), &asked, resp)
}

// RequestPreVote asks for a pre-vote.
func (t *Transport) RequestPreVote(id raft.ServerID, address raft.ServerAddress,
	req *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return t.NetworkTransport.RequestPreVote(id, target(id, address), req, resp)
}

// InstallSnapshot sends a snapshot to another node.
func (t *Transport) InstallSnapshot(id raft.ServerID, address raft.ServerAddress,
	req *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	return t.NetworkTransport.InstallSnapshot(id, target(id, address), req, resp, data)
}

// TimeoutNow asks another node to take over leadership.
func (t *Transport) TimeoutNow(id raft.ServerID, address raft.ServerAddress,
	req *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id, target(id, address), req, resp)
}

// A Lone is the transport of a node without a peer port. Servers are known by ID here too, since the node may get a
// peer port later.
type Lone struct {
	*raft.InmemTransport
	id raft.ServerID
}

// NewLone makes the transport of the server with an ID.
func NewLone(id raft.ServerID) *Lone {
	address, t := raft.NewInmemTransport("")
	t.Connect(address, t)
	return &Lone{t, id}
}

// LocalAddr is this server's ID.
func (l *Lone) LocalAddr() raft.ServerAddress { return raft.ServerAddress(l.id) }

// EncodePeer is a server's ID.
func (l *Lone) EncodePeer(id raft.ServerID, _ raft.ServerAddress) []byte { return []byte(id) }

// DecodePeer is the reverse of EncodePeer.
func (l *Lone) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// Campaign makes this node a candidate at once.
func (l *Lone) Campaign() error {
	return l.TimeoutNow(l.id, l.InmemTransport.LocalAddr(), timeoutNow(l.id), &raft.TimeoutNowResponse{})
}

// target is the address that a [Transport] passes to Raft's network transport, which keeps connections by address. It
// is a Peer's String; [Layer.Dial] splits it again.
func target(id raft.ServerID, address raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(Peer{serverid.ID(id), string(address)}.String())
}

func parseTarget(t raft.ServerAddress) Peer {
	id, address, _ := strings.Cut(string(t), "=")
	return Peer{serverid.ID(id), address}
}
