package raftnode

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/serverid"
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

// followerHealth is what a node knows of the health of the leader that it follows. The zero value is ready for use.
type followerHealth struct {
	mu       sync.Mutex
	gone     serverid.ID   // the leader whose process is gone, empty: none
	hasten   chan struct{} // has an element when this node should ask for votes without waiting for its turn
	standing bool          // this node is asking for pre-votes, or about to be a candidate
	promised time.Time     // when it last granted another one a pre-vote
}

// lost notes that a leader's process is gone.
func (f *followerHealth) lost(id serverid.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = id
}

// heard notes that a leader has sent something: its process is there.
func (f *followerHealth) heard(id serverid.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone == id {
		f.gone = ""
	}
}

// isGone tells whether a leader is gone, as far as this node knows.
func (f *followerHealth) isGone(id serverid.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return id != "" && f.gone == id
}

// hurry has this node ask for votes at once, if it waits for its turn: the one before it in turn has the shorter log.
func (f *followerHealth) hurry() {
	select {
	case f.turn() <- struct{}{}:
	default:
	}
}

// turn is where hurry is heard, also when it was said before.
func (f *followerHealth) turn() chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hasten == nil {
		f.hasten = make(chan struct{}, 1)
	}
	return f.hasten
}

// stands notes that this node begins to ask for pre-votes, unless it has just granted another one its own: two that are
// candidates at the same time get half of the votes each, and have to wait for another election.
func (f *followerHealth) stands(now time.Time, patience time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.promised) < patience {
		return false
	}
	f.standing = true
	return true
}

// sits ends stands. It tells whether this node has granted nobody a pre-vote meanwhile.
func (f *followerHealth) sits(since time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.standing = false
	return f.promised.Before(since)
}

// grants tells whether this node may grant a pre-vote to another one, and notes that it does. Of two that ask each other
// at the same time, one does: the one that does not come first.
func (f *followerHealth) grants(first bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.standing && first {
		return false
	}
	f.promised = time.Now()
	return true
}

// refused tells whether the machine of a node refuses connections to it, so that its process is gone.
func (n *Node) refused(p peernet.Peer) bool {
	if n.opts.Connect == nil {
		return false
	}
	ctx, cancel := n.untilStop()
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, n.opts.Timing.Look)
	defer cancel()
	_, err := n.opts.Connect(ctx, p)
	return errors.Is(err, syscall.ECONNREFUSED)
}

// untilStop is a context that ends when the node begins to stop.
func (n *Node) untilStop() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-n.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// watchLeader holds a connection to the leader, and sees to an election when the leader's process is gone.
//
// When another node leads, the connection to the one before is dropped: requests that wait there, for a process that may
// be frozen, are asked again where they will be answered.
func (n *Node) watchLeader() {
	ctx, cancel := n.untilStop()
	defer cancel()
	var last peernet.Peer
	for ctx.Err() == nil {
		changed := n.LeaderChanged()
		leader, ok := n.Leader()
		if leader != last && last.ID != "" && n.opts.Drop != nil {
			n.opts.Drop(last)
		}
		last = leader
		if !ok {
			wait(ctx, changed, 0)
			continue
		}
		ended, err := n.opts.Connect(ctx, leader)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			n.replaceLeader(ctx, leader)
			wait(ctx, changed, n.opts.Timing.Redial)
		case err != nil: // what was reset may have been the last connection that a process took which is gone
			wait(ctx, changed, n.opts.Timing.Redial)
		default:
			select {
			case <-ended:
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
}

// wait waits for a change of leadership, and no longer than d unless that is 0.
func wait(ctx context.Context, changed <-chan struct{}, d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-changed:
	case <-after:
	case <-ctx.Done():
	}
}

// replaceLeader asks for votes, after the voters that come before this one by ID have had their turn, again and again until
// there is a leader: another one, or the one that was taken for gone.
func (n *Node) replaceLeader(ctx context.Context, lost peernet.Peer) {
	gone := lost.ID
	var voters []serverid.ID
	for _, m := range n.Members() {
		if m.Voter && m.ID != gone {
			voters = append(voters, m.ID)
		}
	}
	slices.Sort(voters)
	turn := slices.Index(voters, n.id)
	if turn < 0 {
		return
	}
	n.health.lost(gone)
	for pause := time.Duration(turn) * n.opts.Timing.Stagger; ; pause = time.Duration(1+turn) * n.opts.Timing.Stagger {
		if pause > 0 {
			wait(ctx, n.health.turn(), pause)
		}
		if leader := n.LeaderID(); ctx.Err() != nil || leader != "" && !n.health.isGone(leader) {
			return
		}
		n.Stand(ctx)
	}
}

// Stand makes this node a candidate if a majority would vote for it. One that is a candidate, or the leader, is left alone:
// it would be elected once more.
func (n *Node) Stand(ctx context.Context) {
	began := time.Now()
	if n.Role() != Follower || !n.health.stands(began, n.opts.Timing.Stagger) {
		return
	}
	granted := n.preVotes(ctx)
	if free := n.health.sits(began); !granted || !free || n.Role() != Follower {
		return
	}
	n.log.Info("a majority has no leader: asking for votes", "term", n.Term()+1)
	if err := n.transport.Campaign(); err != nil {
		n.log.Debug("asking for votes failed", "error", err)
	}
}

// TakeOver has this node ask for votes past another leader, as one does that the leader has asked to take over.
func (n *Node) TakeOver() error {
	if t, ok := n.transport.(*peernet.Transport); ok {
		t.HandedOver(n.Term() + 1)
	}
	return n.transport.Campaign()
}
