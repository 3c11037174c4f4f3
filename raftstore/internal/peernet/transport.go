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
//   - Servers are known by ID, never by address: what is stored as a vote, and what is compared to tell whether there is
//     another leader, is what EncodePeer and LocalAddr give. Two nodes may exchange addresses, and one may be given another
//     address in the course of a term.
//   - What other nodes send passes Admit before Raft gets it.
//   - There is no fast path for heartbeats, which changes the term outside Raft's main loop (hashicorp/raft#695).
//   - Answers to entries wait until this node has the entries on disk itself; see Durable.
//   - Entries for a node that does not answer heartbeats wait for its next answer; see follower health in reach.go.
//   - A vote is asked for past another leader only for a transfer that this leader asked for; see Transfer.
//   - A node that answers with a shorter log than it has acknowledged before is reported; see Forgot.
type Transport struct {
	*raft.NetworkTransport
	id     raft.ServerID
	hooks  Hooks
	reach  reach
	acked  acked
	inbox  chan raft.RPC
	done   chan struct{}
	once   sync.Once
	handed atomic.Uint64 // the term in which this node may take leadership over from a leader that hands over
}

// Hooks are what a Transport asks of its owner. Any of them may be nil.
type Hooks struct {
	// Admit tells whether Raft is to have a request of another node. Otherwise Admit answers it, at once or later; it must
	// not block. It may change the request. nil: Raft has all.
	Admit func(raft.RPC) bool

	// Durable waits until this node has the entries up to an index on disk; an error means that it may not come to that.
	// What another node answers to entries is kept back until then. nil: no answer is.
	Durable func(index uint64) error

	// Sends tells whether this node's Raft, which led in a term, still leads in it and sends to a member at an address.
	// To one that does not answer heartbeats it sends nothing else as long as that is so. nil: it tries.
	Sends func(id serverid.ID, address string, term uint64) bool

	// Forgot is told of a node whose log ends at last, although that node has acknowledged the entry acked in this term. It
	// must not block.
	Forgot func(id serverid.ID, acked, last uint64)
}

// NewTransport makes a transport for the server with an ID, over Raft's own. Close ends both.
func NewTransport(id raft.ServerID, network *raft.NetworkTransport, hooks Hooks) *Transport {
	return &Transport{NetworkTransport: network, id: id, hooks: hooks, inbox: make(chan raft.RPC), done: make(chan struct{})}
}

// Start lets requests of other nodes in, which wait until then. It is called once, when Admit can tell.
func (t *Transport) Start() { go t.receive() }

// receive hands on what other nodes send.
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

// Close ends the transport. It may be called twice.
func (t *Transport) Close() error {
	t.once.Do(func() { close(t.done) })
	return t.NetworkTransport.Close()
}

// Consumer gives Raft what it is to answer.
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

// DecodePeer is the ID that EncodePeer gave.
func (t *Transport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler does nothing.
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

// Campaign makes this node's Raft a candidate at once, without a pre-vote: the caller has made sure of a majority. It
// returns when Raft has taken note.
func (t *Transport) Campaign() error { return t.Ask(raft.RPC{Command: timeoutNow(t.id)}).Error }

// timeoutNow is what a leader that hands over sends to its successor, here from a node to itself.
func timeoutNow(id raft.ServerID) *raft.TimeoutNowRequest {
	return &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: []byte(id)}}
}

// HandedOver notes that the leader has asked this node to take over, in a term. Only in that term do its requests for votes
// say so to the voters, who otherwise refuse a vote while they have a leader.
func (t *Transport) HandedOver(term uint64) { t.handed.Store(term) }

// RequestVote asks for a vote.
func (t *Transport) RequestVote(id raft.ServerID, address raft.ServerAddress, req *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	asked := *req
	asked.LeadershipTransfer = req.LeadershipTransfer && req.Term == t.handed.Load()
	return t.NetworkTransport.RequestVote(id, target(id, address), &asked, resp)
}

// RequestPreVote asks whether there would be a vote.
func (t *Transport) RequestPreVote(id raft.ServerID, address raft.ServerAddress, req *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return t.NetworkTransport.RequestPreVote(id, target(id, address), req, resp)
}

// InstallSnapshot sends a snapshot to another node.
func (t *Transport) InstallSnapshot(id raft.ServerID, address raft.ServerAddress, req *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	return t.NetworkTransport.InstallSnapshot(id, target(id, address), req, resp, data)
}

// TimeoutNow has another node ask for votes at once.
func (t *Transport) TimeoutNow(id raft.ServerID, address raft.ServerAddress, req *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id, target(id, address), req, resp)
}

// A Lone is the transport of a node without a peer port. Servers are known by ID here too: the node may get a port later.
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

// DecodePeer is the ID that EncodePeer gave.
func (l *Lone) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// Campaign makes this node's Raft a candidate at once.
func (l *Lone) Campaign() error {
	return l.TimeoutNow(l.id, l.InmemTransport.LocalAddr(), timeoutNow(l.id), &raft.TimeoutNowResponse{})
}

// Raft's network transport knows addresses only, and keeps connections by them. The address that a [Transport] gives it is
// a Peer's String, which [Layer.Dial] parts again.
func target(id raft.ServerID, address raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(Peer{serverid.ID(id), string(address)}.String())
}

func parseTarget(t raft.ServerAddress) Peer {
	id, address, _ := strings.Cut(string(t), "=")
	return Peer{serverid.ID(id), address}
}
