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
	campaignStagger = 50 * time.Millisecond
	// leaderRedial is how long a node waits before it connects to the leader again after it could not.
	leaderRedial = 20 * time.Millisecond
	// preVotePatience is how long a round of pre-votes takes at most.
	preVotePatience = 500 * time.Millisecond
	// lookPatience is how long a voter takes at most to find out whether the leader is gone.
	lookPatience = 100 * time.Millisecond
)

// follows is what a node knows of the health of the leader that it follows. The zero value is ready for use.
type follows struct {
	mu       sync.Mutex
	gone     raft.ServerID // the leader whose process is gone, empty: none
	hasten   chan struct{} // has an element when this node should ask for votes without waiting for its turn
	standing bool          // this node is asking for pre-votes, or about to be a candidate
	promised time.Time     // when it last granted another one a pre-vote
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
	select {
	case f.turn() <- struct{}{}:
	default:
	}
}

// turn is where hurry is heard, also when it was said before.
func (f *follows) turn() chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hasten == nil {
		f.hasten = make(chan struct{}, 1)
	}
	return f.hasten
}

// stands notes that this node begins to ask for pre-votes, unless it has just granted another one its own: two that are
// candidates at the same time get half of the votes each, and have to wait for another election.
func (f *follows) stands(now time.Time, patience time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.promised) < patience {
		return false
	}
	f.standing = true
	return true
}

// sits ends stands. It tells whether this node has granted nobody a pre-vote meanwhile.
func (f *follows) sits(since time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.standing = false
	return f.promised.Before(since)
}

// grants tells whether this node may grant a pre-vote to another one, and notes that it does. Of two that ask each other
// at the same time, one does: the one that does not come first.
func (f *follows) grants(first bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.standing && first {
		return false
	}
	f.promised = time.Now()
	return true
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
			wait(ctx, news, s.cfg.timing.redial)
		case err != nil: // what was reset may have been the last connection that a process took which is gone
			wait(ctx, news, s.cfg.timing.redial)
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
	began := time.Now()
	if n.raft.State() != raft.Follower || !n.follows.stands(began, s.cfg.timing.stagger) {
		return
	}
	granted := n.preVotes(ctx)
	if free := n.follows.sits(began); !granted || !free || n.raft.State() != raft.Follower {
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
