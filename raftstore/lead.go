package raftstore

import (
	"time"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/wire"
)

// lead follows this node's leadership: a new leader proposes an entry of its own term and serves once it is applied;
// then it sees to it that sessions expire, and those beyond the limit go, when nothing else happens. While another
// leads it watches the log's time, which it will have to go on with.
func (n *node) lead() {
	var due <-chan time.Time
	var since time.Time
	leader := false
	takeOver := func() {
		if n.knowsTime(since) {
			n.takeOver()
		}
	}
	t := time.NewTicker(dropTick)
	defer t.Stop()
	for {
		select {
		case <-n.stop:
			return
		case leader = <-n.raft.Leads():
			n.serving.Store(0)
			due = nil
			if leader {
				since = time.Now()
				takeOver()
			}
			n.raft.TellChanged()
		case <-n.clocks.agreed:
			if leader && !n.leads() {
				takeOver()
			}
		case <-due:
			due = nil
			n.dropDue()
		case <-t.C:
			if !leader {
				stamp, _ := n.state.Clock()
				n.clock.follow(stamp)
				continue
			}
			if wait := n.dropDue(); wait < dropTick {
				due = time.After(wait)
			}
			if !n.leads() {
				takeOver() // the first attempt failed
			}
		}
	}
}

// dropTick is how often a leader looks whether sessions are to be dropped, or will be before it looks again.
const dropTick = 50 * time.Millisecond

func (n *node) takeOver() {
	term := n.raft.Term()
	n.batcher.propose(waiterFunc(func(_ wire.Status, err error) {
		if err == nil && n.raft.Role() == raftnode.Leader && n.raft.Term() == term {
			stamp, _ := n.state.Clock()
			n.clock.reach(stamp)
			n.serve(term)
			n.raft.TellChanged()
		}
	}))
}

// serve notes the term in which this node leads, unless it has led in a later one since that was found.
func (n *node) serve(term uint64) {
	for {
		now := n.serving.Load()
		if now >= term || n.serving.CompareAndSwap(now, term) {
			return
		}
	}
}

// stamp is the next entry's.
func (n *node) stamp() uint64 {
	last, _ := n.state.Clock()
	stamp := n.clock.next(last)
	if now := n.clock.read(); stamp > now && stamp-now > uint64(clockJump/time.Millisecond) && n.leads() {
		n.log.Warn("the voters' clocks have gone forward, and the log's time with them: sessions expire early by as much",
			"by", time.Duration(stamp-now)*time.Millisecond)
	}
	return stamp
}

// dropDue proposes an entry when there are sessions that the next one will drop, or the log's time is to go forward.
// Otherwise it gives the time until there is one, if that is less than dropTick.
func (n *node) dropDue() (wait time.Duration) {
	stamp, next := n.state.Clock()
	n.clock.reach(stamp)
	now := n.clock.read()
	tooMany := n.cfg.Sessions > 0 && uint64(n.state.Len()) > n.cfg.Sessions
	switch {
	case n.epochEnds != nil && n.epochEnds(stamp, now): // so that all nodes forget its keys
		n.batcher.propose(nil)
	case tooMany || next != 0 && next <= now || n.clock.behind() > clockSlack:
		n.batcher.propose(nil)
	case next != 0 && next-now < uint64(dropTick/time.Millisecond):
		return time.Duration(next-now) * time.Millisecond
	}
	return dropTick
}

// leads tells whether this node leads and serves.
func (n *node) leads() bool {
	term := n.serving.Load()
	return term != 0 && n.raft.Role() == raftnode.Leader && n.raft.Term() == term
}

// hasJoined tells whether this node has become a voter of its cluster, by a configuration that it has applied: so it
// has what the leader had committed when this node asked to be taken in.
func (n *node) hasJoined() bool {
	if n.joined.Load() {
		return true
	}
	if applied, _ := n.state.Applied(); !n.raft.Voter(n.id) || applied < n.logs.Configured() {
		return false
	}
	n.joined.Store(true)
	return true
}

type waiterFunc func(wire.Status, error)

func (f waiterFunc) finish(s wire.Status, err error) { f(s, err) }
