package raftstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/peernet"
)

// A leader that stops sending heartbeats is replaced after Config.Heartbeat and more. A leader whose process is gone is
// replaced at once: the connection to it breaks, and its machine refuses another one. What this node believes is no reason
// for an election by itself, since a firewall may refuse connections too: a majority must have lost the leader. So the node
// asks for pre-votes. Each voter looks for itself whether the leader is gone, and refuses while it is not. Only with a
// majority of pre-votes does the node's term rise.
//
// Nothing campaigns past a pre-vote, but the voter that the leader asks to take over.

const (
	// campaignStagger is how long each voter gives the one before it to be elected, and how long it waits before it tries
	// again.
	campaignStagger = 100 * time.Millisecond
	// preVotePatience is how long a round of pre-votes takes at most.
	preVotePatience = 500 * time.Millisecond
	// lookPatience is how long a voter takes at most to find out whether the leader is gone.
	lookPatience = 100 * time.Millisecond
)

// follows is what a node knows of the health of the leader that it follows. The zero value is ready for use.
type follows struct {
	mu     sync.Mutex
	gone   raft.ServerID // the leader whose process is gone, empty: none
	hasten chan struct{} // closed when this node should ask for votes without waiting for its turn
}

// lost notes that a leader's process is gone.
func (f *follows) lost(id raft.ServerID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = id
}

// heard notes that a leader has sent something: its process is there.
func (f *follows) heard(id raft.ServerID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone == id {
		f.gone = ""
	}
}

// isGone tells whether a leader is gone, as far as this node knows.
func (f *follows) isGone(id raft.ServerID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return id != "" && f.gone == id
}

// hurry has this node ask for votes at once, if it waits for its turn: the one before it in turn has the shorter log.
func (f *follows) hurry() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hasten != nil {
		close(f.hasten)
		f.hasten = nil
	}
}

// turn gives a channel that is closed by the next hurry.
func (f *follows) turn() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hasten == nil {
		f.hasten = make(chan struct{})
	}
	return f.hasten
}

// refused tells whether the machine of a node refuses connections to it, so that its process is gone.
func (s *Store) refused(p peernet.Peer) bool {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.timing.look)
	defer cancel()
	_, err := s.peers.get(ctx, p)
	return errors.Is(err, syscall.ECONNREFUSED)
}

// watchLeader holds a connection to the leader, and sees to an election when the leader's process is gone.
//
// When another node leads, the connection to the one before is dropped: requests that wait there, for a process that may
// be frozen, are asked again where they will be answered.
func (s *Store) watchLeader(n *node) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	go func() {
		select {
		case <-n.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	var last peernet.Peer
	for ctx.Err() == nil {
		news := n.news()
		leader, ok := n.leader()
		if leader != last && last.ID != "" {
			s.peers.drop(last)
		}
		last = leader
		if !ok {
			wait(ctx, news, 0)
			continue
		}
		conn, err := s.peers.get(ctx, leader)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			s.replaceLeader(ctx, n, leader)
			wait(ctx, news, s.cfg.timing.join)
		case err != nil:
			wait(ctx, news, s.cfg.timing.join)
		default:
			select {
			case <-conn.Done():
			case <-news:
			case <-ctx.Done():
			}
		}
	}
}

// wait waits for news, and no longer than d unless that is 0.
func wait(ctx context.Context, news <-chan struct{}, d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-news:
	case <-after:
	case <-ctx.Done():
	}
}

// replaceLeader asks for votes, after the voters that come before this one by ID have had their turn, again and again until
// there is a leader: another one, or the one that was taken for gone.
func (s *Store) replaceLeader(ctx context.Context, n *node, lost peernet.Peer) {
	gone := raft.ServerID(lost.ID)
	var voters []raft.ServerID
	for _, m := range n.servers() {
		if m.Suffrage == raft.Voter && m.ID != gone {
			voters = append(voters, m.ID)
		}
	}
	slices.Sort(voters)
	turn := slices.Index(voters, n.id)
	if turn < 0 {
		return
	}
	n.follows.lost(gone)
	for pause := time.Duration(turn) * s.cfg.timing.stagger; ; pause = time.Duration(1+turn) * s.cfg.timing.stagger {
		if pause > 0 {
			wait(ctx, n.follows.turn(), pause)
		}
		if _, leader := n.raft.LeaderWithID(); ctx.Err() != nil || leader != "" && !n.follows.isGone(leader) {
			return
		}
		s.stand(ctx, n)
	}
}

// stand makes this node a candidate if a majority would vote for it. One that is a candidate, or the leader, is left alone:
// it would be elected once more.
func (s *Store) stand(ctx context.Context, n *node) {
	if n.raft.State() != raft.Follower || !n.preVotes(ctx) || n.raft.State() != raft.Follower {
		return
	}
	s.log.Info("a majority has no leader: asking for votes", "term", n.raft.CurrentTerm()+1)
	if err := n.transport.Campaign(); err != nil {
		s.log.Debug("asking for votes failed", "error", err)
	}
}

// preVotes tells whether a majority of voters, this node among them, would vote for it in the next term.
func (n *node) preVotes(ctx context.Context) bool {
	index, last := n.lastEntry()
	req := &raft.RequestPreVoteRequest{RPCHeader: n.header(), Term: n.raft.CurrentTerm() + 1, LastLogIndex: index, LastLogTerm: last}
	servers := n.servers()
	t, ok := n.transport.(raft.WithPreVote)
	if !ok {
		return false
	}
	answers := make(chan raft.ServerID, len(servers))
	asked := 0
	for _, m := range servers {
		if m.Suffrage != raft.Voter || m.ID == n.id {
			continue
		}
		asked++
		go func() { // ends with the transport's time limit
			var resp raft.RequestPreVoteResponse
			if err := t.RequestPreVote(m.ID, m.Address, req, &resp); err != nil || !resp.Granted {
				answers <- ""
				return
			}
			answers <- m.ID
		}()
	}
	late := time.NewTimer(n.cfg.timing.preVote)
	defer late.Stop()
	granted := []raft.ServerID{n.id}
	for !majority(servers, granted...) {
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
