package raftstore

import (
	"errors"
	"io"
	"strconv"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/peernet"
)

// From whom Raft takes requests
//
// A connection is for one server ID, so that what arrives was meant for this life of this disk (package peernet). Of that,
// a server takes
//
//   - entries, heartbeats and snapshots from a member of the newest configuration in its log, from the leader that it
//     follows, and from whoever leads in a later term than that of its last entry;
//   - requests for votes from a voter of that configuration, and from whoever has a longer log: one whose last entry has a
//     later term, or the same term and a greater index;
//   - the request to take over from the leader that it follows.
//
// Raft itself needs no such rule (thesis, section 4.1: servers process requests without consulting their configuration),
// and hashicorp/raft has a stricter one, which can leave two of three voters unable to elect one of them when the third is
// gone. This one shuts out servers that were removed, and nobody else, since a log decides a configuration:
//
//   - A candidate that is a voter by a configuration that this server lacks has that entry, so its log is longer. With a log
//     that is as long and as late, its configuration is this server's. With a shorter one, it gets no vote anyway. So it
//     makes no difference whether the entry that made it a voter was committed, or applied.
//   - A leader's log has an entry of its own term. If this server's last entry is of an earlier term, the leader's log is
//     longer. If it is of the same term, it came from that leader, with all that the leader's log had before it, among that
//     the configuration by which the leader was elected. A leader that is being removed leads until that is committed.
//
// An empty log has no members, and every other one is longer. Only the leader of a cluster that takes this server in, or
// founds itself with it, knows its ID.

var (
	errSender   = errors.New("the sender is not a member of this node's cluster")
	errHandOver = errors.New("only the leader hands leadership over")
)

// admits tells whether Raft is to have a request of another node. Otherwise it is answered here.
func (n *node) admits(rpc raft.RPC, refused func(peernet.Peer) bool) bool {
	var from raft.ServerID
	if header, ok := rpc.Command.(raft.WithRPCHeader); ok {
		from = raft.ServerID(header.GetRPCHeader().ID)
	}
	if from == "" || from == n.id {
		turnDown(rpc, errSender)
		return false
	}
	switch req := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		if n.leadsUs(from, req.Term) {
			n.follows.heard(from)
			return true
		}
	case *raft.InstallSnapshotRequest:
		if t, ok := n.transport.(*peernet.Transport); ok && n.leadsUs(from, req.Term) {
			n.follows.heard(from)
			go n.install(t, rpc, req) // ends with the request, or the transport
			return false
		}
	case *raft.RequestVoteRequest:
		return n.admitsVote(rpc, from, req)
	case *raft.RequestPreVoteRequest:
		go n.answerPreVote(rpc, from, req, refused)
		return false
	case *raft.TimeoutNowRequest:
		if _, leader := n.raft.LeaderWithID(); leader != from {
			turnDown(rpc, errHandOver)
			return false
		}
		if t, ok := n.transport.(*peernet.Transport); ok {
			t.HandedOver(n.raft.CurrentTerm() + 1)
		}
		return true
	}
	turnDown(rpc, errSender)
	return false
}

// turnDown answers a request with an error. A snapshot follows its request on the connection, and is read first.
func turnDown(rpc raft.RPC, err error) {
	if rpc.Reader == nil {
		rpc.Respond(nil, err)
		return
	}
	go func() { // ends with the connection
		_, _ = io.Copy(io.Discard, rpc.Reader)
		rpc.Respond(nil, err)
	}()
}

// leadsUs tells whether a server may be this one's leader in a term.
func (n *node) leadsUs(id raft.ServerID, term uint64) bool {
	if _, in := n.member(id); in {
		return true
	}
	if _, leader := n.raft.LeaderWithID(); leader == id && term == n.raft.CurrentTerm() {
		return true
	}
	_, last := n.lastEntry()
	return term > last
}

// admitsVote lets Raft answer a request for a vote, unless it comes from a server that can't be a voter.
//
// Raft refuses whoever asks while it knows a leader, until a heartbeat timeout, but for a leadership transfer. A leader that
// this node knows to be gone counts as none.
func (n *node) admitsVote(rpc raft.RPC, from raft.ServerID, req *raft.RequestVoteRequest) bool {
	switch {
	case n.voter(from):
	case n.longer(req.LastLogIndex, req.LastLogTerm):
		req.ID = nil // Raft looks for no candidate without an ID in its configuration
		req.LeadershipTransfer = false
	default:
		rpc.Respond(&raft.RequestVoteResponse{RPCHeader: n.header(), Term: n.raft.CurrentTerm()}, nil)
		return false
	}
	if _, leader := n.raft.LeaderWithID(); n.follows.isGone(leader) {
		req.LeadershipTransfer = true
	}
	return true
}

// answerPreVote tells a candidate whether it would get this node's vote. This node's own pre-votes and Raft's are answered
// here, by the same rules as votes.
func (n *node) answerPreVote(rpc raft.RPC, from raft.ServerID, req *raft.RequestPreVoteRequest, refused func(peernet.Peer) bool) {
	resp := &raft.RequestPreVoteResponse{RPCHeader: n.header(), Term: n.raft.CurrentTerm()}
	defer func() { rpc.Respond(resp, nil) }()
	longer := n.longer(req.LastLogIndex, req.LastLogTerm)
	if req.Term < resp.Term || !n.voter(from) && !longer || n.hasLeader(from, refused) {
		return
	}
	resp.Term = req.Term
	if index, term := n.lastEntry(); !longer && (req.LastLogIndex != index || req.LastLogTerm != term) {
		n.follows.hurry() // this node has the longer log
		return
	}
	resp.Granted = n.follows.grants(n.id < from && !longer)
}

// hasLeader tells whether this node follows, or is, a leader other than a candidate. It looks whether the leader's process
// is gone, as it would find out by itself in a moment.
func (n *node) hasLeader(candidate raft.ServerID, refused func(peernet.Peer) bool) bool {
	_, leader := n.raft.LeaderWithID()
	switch {
	case leader == "" || leader == candidate:
		return false
	case leader == n.id:
		return true
	case n.follows.isGone(leader):
		return false
	}
	if p, ok := n.leader(); ok && p.ID == string(leader) && refused != nil && refused(p) {
		n.follows.lost(leader)
		return false
	}
	return true
}

// header is what this node's answers begin with.
func (n *node) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.id), Addr: []byte(n.id)}
}

// voter tells whether a server votes by the newest configuration in this node's log.
func (n *node) voter(id raft.ServerID) bool {
	m, in := n.member(id)
	return in && m.Suffrage == raft.Voter
}

// longer tells whether a log that ends with an entry is longer than this node's.
func (n *node) longer(index, term uint64) bool {
	ownIndex, ownTerm := n.lastEntry()
	return term > ownTerm || term == ownTerm && index > ownIndex
}

// lastEntry is the index and term of the last entry in this node's log. Raft says that in its statistics only.
func (n *node) lastEntry() (index, term uint64) {
	stats := n.raft.Stats()
	number := func(key string) uint64 {
		x, _ := strconv.ParseUint(stats[key], 10, 64)
		return x
	}
	index, term = number("last_log_index"), number("last_log_term")
	if snapshot := number("last_snapshot_index"); snapshot > index {
		return snapshot, number("last_snapshot_term")
	}
	return index, term
}
