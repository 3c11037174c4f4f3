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

// A leader that stops sending heartbeats is replaced after Options.Heartbeat or more. A leader whose process is gone
// is replaced at once: the connection to it breaks, and its machine refuses a new connection. One node's observation
// is not enough for an election, since a firewall may refuse connections too: a majority must have lost the leader.
// So the node asks for pre-votes. Each voter checks for itself whether the leader is gone, and refuses while the
// leader is there. The node's term rises only after a majority of pre-votes.
//
// Nobody becomes a candidate without a pre-vote, except the voter that the leader asks to take over.

const (
	// campaignStagger is the head start that each voter gives to the voter before it, and the pause between two
	// attempts.
	campaignStagger = 50 * time.Millisecond
	// leaderRedial is the pause after a failed attempt to connect to the leader.
	leaderRedial = 20 * time.Millisecond
	// preVotePatience is the time limit for a round of pre-votes.
	preVotePatience = 500 * time.Millisecond
	// lookPatience is the time limit for a voter to find out whether the leader is gone.
	lookPatience = 100 * time.Millisecond
)

// leaderHealth is what a node knows about the health of the leader that it follows, and the state of its attempts to
// replace a leader that is gone. The zero value is ready for use.
type leaderHealth struct {
	mu          sync.Mutex
	gone        serverid.ID   // the leader whose process is gone; empty: none
	skip        chan struct{} // see skipWait
	campaigning bool          // this node is asking for pre-votes
	granted     time.Time     // when this node last granted another node a pre-vote
}

// lost notes that a leader's process is gone.
func (h *leaderHealth) lost(id serverid.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = id
}

// heard notes that a leader has sent a request, so its process is there.
func (h *leaderHealth) heard(id serverid.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone == id {
		h.gone = ""
	}
}

// isGone tells whether this node knows that a leader's process is gone.
func (h *leaderHealth) isGone(id serverid.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return id != "" && h.gone == id
}

// skipWait makes this node ask for pre-votes without waiting for its turn. It is called when a voter with an earlier
// turn has a shorter log and can't win.
func (h *leaderHealth) skipWait() {
	select {
	case h.skipped() <- struct{}{}:
	default:
	}
}

// skipped returns the channel that has an element after skipWait, even if nobody was waiting then.
func (h *leaderHealth) skipped() chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.skip == nil {
		h.skip = make(chan struct{}, 1)
	}
	return h.skip
}

// beginCampaign notes that this node asks for pre-votes. It is false when this node granted a pre-vote to another node
// less than patience ago: two candidates at the same time would split the votes, and both would have to try again.
func (h *leaderHealth) beginCampaign(now time.Time, patience time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.granted) < patience {
		return false
	}
	h.campaigning = true
	return true
}

// endCampaign notes that this node no longer asks for pre-votes. It tells whether this node has granted no pre-vote
// since the campaign began.
func (h *leaderHealth) endCampaign(began time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.campaigning = false
	return h.granted.Before(began)
}

// grantPreVote tells whether this node may grant a pre-vote to another node, and notes that it does. first says that
// this node takes precedence: of two nodes that ask each other at the same time, only the other one grants.
func (h *leaderHealth) grantPreVote(first bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.campaigning && first {
		return false
	}
	h.granted = time.Now()
	return true
}

// refused tells whether a node's machine refuses connections to the node, which means that the node's process is gone.
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

// untilStop returns a context that ends when the node begins to stop.
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

// watchLeader keeps a connection to the leader, and starts an election when the leader's process is gone.
//
// When the leader changes, watchLeader drops the connection to the former leader. The former leader's process may be
// frozen; requests that wait there are then sent to the new leader.
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
		case err != nil: // not refused, but a reset connection may be the last that a dying process accepted
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

// wait waits until changed is ready or ctx ends, for at most d unless d is 0.
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

// replaceLeader stands for election again and again until there is a leader: a new one, or the one that was thought to
// be gone. Voters take turns in the order of their IDs, so that they don't compete.
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
			wait(ctx, n.health.skipped(), pause)
		}
		if leader := n.LeaderID(); ctx.Err() != nil || leader != "" && !n.health.isGone(leader) {
			return
		}
		n.Stand(ctx)
	}
}

// Stand makes this node a candidate if a majority would vote for it. It does nothing if this node is a candidate or the
// leader already: another election would only raise the term.
func (n *Node) Stand(ctx context.Context) {
	began := time.Now()
	if n.Role() != Follower || !n.health.beginCampaign(began, n.opts.Timing.Stagger) {
		return
	}
	granted := n.preVotes(ctx)
	if free := n.health.endCampaign(began); !granted || !free || n.Role() != Follower {
		return
	}
	n.log.Info("a majority has no leader: asking for votes", "term", n.Term()+1)
	if err := n.transport.Campaign(); err != nil {
		n.log.Debug("asking for votes failed", "error", err)
	}
}

// TakeOver makes this node ask for votes although there may be a leader, as if the leader had asked it to take over.
func (n *Node) TakeOver() error {
	if t, ok := n.transport.(*peernet.Transport); ok {
		t.HandedOver(n.Term() + 1)
	}
	return n.transport.Campaign()
}
