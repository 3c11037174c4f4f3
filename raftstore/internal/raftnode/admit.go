package raftnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// Which senders Raft accepts
//
// A connection is for one server ID, so every request that arrives was meant for this life of this disk (package
// peernet). A server accepts
//
//   - entries, heartbeats and snapshots from a member of the newest configuration in its log, from the leader that it
//     follows, and from a leader of a later term than the term of its last entry;
//   - vote requests from a voter of that configuration, and from any candidate with a longer log: a log whose last
//     entry has a later term, or the same term and a greater index;
//   - the request to take over leadership from the leader that it follows.
//
// Raft itself needs no such rule (thesis, section 4.1: servers process requests without consulting their
// configuration). hashicorp/raft has a stricter rule, which can leave two of three voters unable to elect a leader
// when the third is gone. The rule above shuts out removed servers and nobody else, because a log determines a
// configuration:
//
//   - A candidate that became a voter by an entry that this server lacks has the longer log. If the two logs end with
//     the same entry, the two servers have the same configuration. A candidate with a shorter log gets no vote anyway.
//     So it makes no difference whether the entry that made the candidate a voter was committed or applied.
//   - A leader's log has an entry of the leader's own term. If this server's last entry is of an earlier term, the
//     leader's log is longer. If this server's last entry is of the same term, it came from that leader, and this log
//     has everything that precedes the entry in the leader's log, including the configuration that elected the leader.
//     A leader that is being removed leads until its removal is committed.
//
// An empty log has no members, and every other log is longer. An empty server's ID is known only to the leader of a
// cluster that adds the server or bootstraps with it.

var (
	errSender   = errors.New("the sender is not a member of this node's cluster")
	errHandOver = errors.New("only the leader hands leadership over")
)

// admits tells whether to pass another node's request to Raft. If not, admits sees that the request is answered.
func (n *Node) admits(rpc raft.RPC) bool {
	var from serverid.ID
	if header, ok := rpc.Command.(raft.WithRPCHeader); ok {
		from = serverid.ID(header.GetRPCHeader().ID)
	}
	if from == "" || from == n.id {
		turnDown(rpc, errSender)
		return false
	}
	if err := n.fits(rpc.Command); err != nil {
		n.unfit.Warn("a node's Raft request was refused", "from", from, "error", err)
		turnDown(rpc, errUnfit)
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

// turnDown answers a request with an error. The bytes of a snapshot follow its request on the connection, so they are
// read first.
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

// leadsUs tells whether a server may lead this node in a term, by the rule above.
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

// admitsVote lets Raft answer a vote request, unless its sender can't be a voter.
//
// Until a heartbeat timeout Raft refuses vote requests while it knows a leader, except for a leadership transfer. A
// leader whose process this node knows to be gone does not count as a leader, so its vote requests are marked as those
// of a transfer.
func (n *Node) admitsVote(rpc raft.RPC, from serverid.ID, req *raft.RequestVoteRequest) bool {
	switch {
	case n.Voter(from):
	case n.longer(req.LastLogIndex, req.LastLogTerm):
		req.ID = nil // without an ID, Raft does not look for the candidate in its configuration
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

// answerPreVote tells a candidate whether this node would vote for it. It answers the pre-votes of election.go and
// those of Raft itself, by the same rules as votes.
func (n *Node) answerPreVote(rpc raft.RPC, from serverid.ID, req *raft.RequestPreVoteRequest) {
	resp := &raft.RequestPreVoteResponse{RPCHeader: n.header(), Term: n.raft.CurrentTerm()}
	defer func() { rpc.Respond(resp, nil) }()
	longer := n.longer(req.LastLogIndex, req.LastLogTerm)
	if req.Term < resp.Term || !n.Voter(from) && !longer || n.hasLeader(from) {
		return
	}
	resp.Term = req.Term
	if index, term := n.LastEntry(); !longer && (req.LastLogIndex != index || req.LastLogTerm != term) {
		n.health.skipWait() // this node has the longer log
		return
	}
	resp.Granted = n.health.grantPreVote(n.id < from && !longer)
}

// hasLeader tells whether this node is the leader, or follows a leader other than the candidate. It checks whether the
// leader's process is gone rather than wait until this node notices by itself.
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

// header is the RPC header of this node's own requests and answers.
func (n *Node) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.id), Addr: []byte(n.id)}
}

// longer tells whether a log with the given last entry is longer than this node's.
func (n *Node) longer(index, term uint64) bool {
	ownIndex, ownTerm := n.LastEntry()
	return term > ownTerm || term == ownTerm && index > ownIndex
}

// preVotes tells whether a majority of voters, including this node, would vote for this node in the next term.
func (n *Node) preVotes(ctx context.Context) bool {
	index, last := n.LastEntry()
	req := &raft.RequestPreVoteRequest{RPCHeader: n.header(), Term: n.raft.CurrentTerm() + 1,
		LastLogIndex: index, LastLogTerm: last}
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
			err := t.RequestPreVote(raft.ServerID(m.ID), raft.ServerAddress(m.Address), req, &resp)
			if err != nil || !resp.Granted {
				answers <- ""
				return
			}
			answers <- m.ID
		}()
	}
	timeout := time.NewTimer(n.opts.Timing.PreVote)
	defer timeout.Stop()
	granted := []serverid.ID{n.id}
	for !Majority(members, granted...) {
		if asked == 0 {
			return false
		}
		select {
		case id := <-answers:
			asked--
			granted = append(granted, id)
		case <-timeout.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// What Raft is given to store
//
// Raft trusts a leader: it stores any entry, replaces entries that it has committed, and panics at a configuration that
// it can't decode, again at each start. So a member that has gone mad, or a forger, could end all nodes for good. What
// can be checked without knowing who was elected is checked here, before Raft gets the request. Package peernet bounds
// the sizes.

// errUnfit is what a leader is told whose request must not be stored.
var errUnfit = errors.New("the request is not what a leader of this program sends")

const (
	maxMembers = 64
	// maxTermsAhead bounds how far a request's term may be ahead of this node's. Terms count elections. Without a bound
	// a single request could bring the term to its greatest value, after which there is no election.
	maxTermsAhead = math.MaxUint32
)

// fits refuses a request to append entries or to install a snapshot that Raft would take and should not.
func (n *Node) fits(command any) error {
	switch req := command.(type) {
	case *raft.AppendEntriesRequest:
		return n.fitsAppend(req)
	case *raft.InstallSnapshotRequest:
		return n.fitsSnapshot(req)
	case *raft.RequestVoteRequest:
		return n.fitsTerm(req.Term)
	}
	return nil
}

func (n *Node) fitsTerm(term uint64) error {
	if own := n.raft.CurrentTerm(); term > own && term-own > maxTermsAhead {
		return fmt.Errorf("%w: term %d, when this node's is %d", errUnfit, term, own)
	}
	return nil
}

func (n *Node) fitsAppend(req *raft.AppendEntriesRequest) error {
	if err := n.fitsTerm(req.Term); err != nil {
		return err
	}
	index, term, committed := req.PrevLogEntry, req.PrevLogTerm, n.raft.CommitIndex()
	for _, e := range req.Entries {
		switch {
		case e == nil:
			return fmt.Errorf("%w: an entry is missing", errUnfit)
		case e.Index != index+1:
			return fmt.Errorf("%w: entry %d follows entry %d", errUnfit, e.Index, index)
		case e.Term < term || e.Term > req.Term:
			return fmt.Errorf("%w: entry %d of term %d follows one of term %d, in term %d",
				errUnfit, e.Index, e.Term, term, req.Term)
		case e.Index <= committed && n.differs(e):
			return fmt.Errorf("%w: entry %d is committed with another term", errUnfit, e.Index)
		}
		if err := readable(e); err != nil {
			return fmt.Errorf("%w: entry %d: %w", errUnfit, e.Index, err)
		}
		index, term = e.Index, e.Term
	}
	return nil
}

// differs tells whether this node's log has an entry of another term in the place of e.
func (n *Node) differs(e *raft.Log) bool {
	var own raft.Log
	return n.logs.GetLog(e.Index, &own) == nil && own.Term != e.Term
}

// readable tells whether a log entry can be read by whoever will have to.
func readable(e *raft.Log) error {
	if len(e.Extensions) > 0 {
		return errors.New("it has extensions")
	}
	switch e.Type {
	case raft.LogCommand:
		return entry.Check(e.Data)
	case raft.LogConfiguration:
		return fitsConfiguration(e.Data)
	case raft.LogNoop, raft.LogBarrier:
		return nil
	}
	return fmt.Errorf("its type is %d", e.Type)
}

func (n *Node) fitsSnapshot(req *raft.InstallSnapshotRequest) error {
	if err := n.fitsTerm(req.Term); err != nil {
		return err
	}
	switch committed := n.raft.CommitIndex(); {
	case req.SnapshotVersion != raft.SnapshotVersionMax:
		return fmt.Errorf("%w: a snapshot of version %d", errUnfit, req.SnapshotVersion)
	case req.LastLogIndex < committed:
		return fmt.Errorf("%w: a snapshot of entry %d, when entry %d is committed", errUnfit, req.LastLogIndex, committed)
	case req.LastLogTerm > req.Term:
		return fmt.Errorf("%w: a snapshot of term %d, in term %d", errUnfit, req.LastLogTerm, req.Term)
	}
	if err := fitsConfiguration(req.Configuration); err != nil {
		return fmt.Errorf("%w: a snapshot: %w", errUnfit, err)
	}
	return nil
}

// fitsConfiguration tells whether bytes are a configuration that Raft can decode and this program could have written.
func fitsConfiguration(b []byte) (err error) {
	defer func() {
		if p := recover(); p != nil { // raft.DecodeConfiguration has no other way to say so
			err = fmt.Errorf("a configuration that can't be decoded: %v", p)
		}
	}()
	servers := raft.DecodeConfiguration(b).Servers
	if len(servers) > maxMembers {
		return fmt.Errorf("a configuration of %d servers", len(servers))
	}
	voters := 0
	ids, addresses := map[raft.ServerID]bool{}, map[raft.ServerAddress]bool{}
	for _, s := range servers {
		switch {
		case !serverid.ID(s.ID).Valid():
			return fmt.Errorf("a configuration with the ID %.100q", s.ID)
		case s.Address == "" || len(s.Address) > 300:
			return fmt.Errorf("a configuration with the address %.100q", s.Address)
		case ids[s.ID] || addresses[s.Address]:
			return fmt.Errorf("a configuration that has %s, or its address %s, twice", s.ID, s.Address)
		case s.Suffrage == raft.Voter:
			voters++
		}
		ids[s.ID], addresses[s.Address] = true, true
	}
	if voters == 0 {
		return errors.New("a configuration without voters")
	}
	return nil
}
