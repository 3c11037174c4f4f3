package raftnode

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/serverid"
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
func (n *Node) admits(rpc raft.RPC) bool {
	var from serverid.ID
	if header, ok := rpc.Command.(raft.WithRPCHeader); ok {
		from = serverid.ID(header.GetRPCHeader().ID)
	}
	if from == "" || from == n.id {
		turnDown(rpc, errSender)
		return false
	}
	switch req := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		if n.leadsUs(from, req.Term) {
			n.health.heard(from)
			return true
		}
	case *raft.InstallSnapshotRequest:
		if t, ok := n.transport.(*peernet.Transport); ok && n.leadsUs(from, req.Term) {
			n.health.heard(from)
			go n.install(t, rpc, req) // ends with the request, or the transport
			return false
		}
	case *raft.RequestVoteRequest:
		return n.admitsVote(rpc, from, req)
	case *raft.RequestPreVoteRequest:
		go n.answerPreVote(rpc, from, req)
		return false
	case *raft.TimeoutNowRequest:
		if n.LeaderID() != from {
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
func (n *Node) leadsUs(id serverid.ID, term uint64) bool {
	if _, in := n.Member(id); in {
		return true
	}
	if n.LeaderID() == id && term == n.raft.CurrentTerm() {
		return true
	}
	_, last := n.LastEntry()
	return term > last
}

// admitsVote lets Raft answer a request for a vote, unless it comes from a server that can't be a voter.
//
// Raft refuses whoever asks while it knows a leader, until a heartbeat timeout, but for a leadership transfer. A leader that
// this node knows to be gone counts as none.
func (n *Node) admitsVote(rpc raft.RPC, from serverid.ID, req *raft.RequestVoteRequest) bool {
	switch {
	case n.Voter(from):
	case n.longer(req.LastLogIndex, req.LastLogTerm):
		req.ID = nil // Raft looks for no candidate without an ID in its configuration
		req.LeadershipTransfer = false
	default:
		rpc.Respond(&raft.RequestVoteResponse{RPCHeader: n.header(), Term: n.raft.CurrentTerm()}, nil)
		return false
	}
	if n.health.isGone(n.LeaderID()) {
		req.LeadershipTransfer = true
	}
	return true
}

// answerPreVote tells a candidate whether it would get this node's vote. This node's own pre-votes and Raft's are answered
// here, by the same rules as votes.
func (n *Node) answerPreVote(rpc raft.RPC, from serverid.ID, req *raft.RequestPreVoteRequest) {
	resp := &raft.RequestPreVoteResponse{RPCHeader: n.header(), Term: n.raft.CurrentTerm()}
	defer func() { rpc.Respond(resp, nil) }()
	longer := n.longer(req.LastLogIndex, req.LastLogTerm)
	if req.Term < resp.Term || !n.Voter(from) && !longer || n.hasLeader(from) {
		return
	}
	resp.Term = req.Term
	if index, term := n.LastEntry(); !longer && (req.LastLogIndex != index || req.LastLogTerm != term) {
		n.health.hurry() // this node has the longer log
		return
	}
	resp.Granted = n.health.grants(n.id < from && !longer)
}

// hasLeader tells whether this node follows, or is, a leader other than a candidate. It looks whether the leader's process
// is gone, as it would find out by itself in a moment.
func (n *Node) hasLeader(candidate serverid.ID) bool {
	leader := n.LeaderID()
	switch {
	case leader == "" || leader == candidate:
		return false
	case leader == n.id:
		return true
	case n.health.isGone(leader):
		return false
	}
	if p, ok := n.Leader(); ok && p.ID == leader && n.refused(p) {
		n.health.lost(leader)
		return false
	}
	return true
}

// header is what this node's answers begin with.
func (n *Node) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.id), Addr: []byte(n.id)}
}

// longer tells whether a log that ends with an entry is longer than this node's.
func (n *Node) longer(index, term uint64) bool {
	ownIndex, ownTerm := n.LastEntry()
	return term > ownTerm || term == ownTerm && index > ownIndex
}

// preVotes tells whether a majority of voters, this node among them, would vote for it in the next term.
func (n *Node) preVotes(ctx context.Context) bool {
	index, last := n.LastEntry()
	req := &raft.RequestPreVoteRequest{RPCHeader: n.header(), Term: n.raft.CurrentTerm() + 1, LastLogIndex: index, LastLogTerm: last}
	members := n.Members()
	t, ok := n.transport.(raft.WithPreVote)
	if !ok {
		return false
	}
	answers := make(chan serverid.ID, len(members))
	asked := 0
	for _, m := range members {
		if !m.Voter || m.ID == n.id {
			continue
		}
		asked++
		go func() { // ends with the transport's time limit
			var resp raft.RequestPreVoteResponse
			if err := t.RequestPreVote(raft.ServerID(m.ID), raft.ServerAddress(m.Address), req, &resp); err != nil || !resp.Granted {
				answers <- ""
				return
			}
			answers <- m.ID
		}()
	}
	late := time.NewTimer(n.opts.Timing.PreVote)
	defer late.Stop()
	granted := []serverid.ID{n.id}
	for !Majority(members, granted...) {
		if asked == 0 {
			return false
		}
		select {
		case id := <-answers:
			asked--
			granted = append(granted, id)
		case <-late.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}
