package raftnode

import (
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A Role is Raft's state.
type Role int

// Roles.
const (
	Follower Role = iota
	Candidate
	Leader
	Stopped
)

// Role is this node's role.
func (n *Node) Role() Role {
	switch n.raft.State() {
	case raft.Leader:
		return Leader
	case raft.Candidate:
		return Candidate
	case raft.Shutdown:
		return Stopped
	}
	return Follower
}

// ID is this node's server ID.
func (n *Node) ID() serverid.ID { return n.id }

// Term is Raft's current term.
func (n *Node) Term() uint64 { return n.raft.CurrentTerm() }

// LastIndex is the index of the last entry, in the log or in a snapshot.
func (n *Node) LastIndex() uint64 { return n.raft.LastIndex() }

// CommitIndex is the index of the last entry that this node knows to be committed.
func (n *Node) CommitIndex() uint64 { return n.raft.CommitIndex() }

// LastEntry is the index and term of the last entry, in the log or in a snapshot. Raft reports the term only in its
// statistics.
func (n *Node) LastEntry() (index, term uint64) {
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

// LeaderID is the leader's server ID, empty when this node knows no leader.
func (n *Node) LeaderID() serverid.ID {
	_, id := n.raft.LeaderWithID()
	return serverid.ID(id)
}

// Leader is the leader's ID and address. It is false when this node is the leader, or knows no leader or no address.
// The result is kept for some milliseconds: each forwarded request calls Leader, for which Raft copies its
// configuration.
func (n *Node) Leader() (peernet.Peer, bool) {
	id := n.LeaderID()
	if id == "" || id == n.id {
		return peernet.Peer{}, false
	}
	now := time.Now()
	if k := n.leaderAt.Load(); k != nil && k.peer.ID == id && now.Sub(k.when) < knownLife {
		return k.peer, true
	}
	m, ok := n.Member(id)
	m.ID = id
	p := n.Peer(m)
	if ok = ok || p.Address != ""; ok {
		n.leaderAt.Store(&knownLeader{p, now})
	}
	return p, ok
}

// A knownLeader is a result of Leader, and its time.
type knownLeader struct {
	peer peernet.Peer
	when time.Time
}

// knownLife is how long a result of Leader is kept. It is short against every timeout that depends on the address.
const knownLife = 10 * time.Millisecond

// Leads receives true when this node becomes the leader, and false when it stops being the leader. Only one goroutine
// may receive.
func (n *Node) Leads() <-chan bool { return n.raft.LeaderCh() }

// observations are Raft's events about leadership.
type observations struct {
	observer *raft.Observer
	observed chan raft.Observation

	mu      sync.Mutex
	changed chan struct{} // see LeaderChanged; closed and replaced
}

func (n *Node) observe() {
	n.observed = make(chan raft.Observation, 16)
	n.observer = raft.NewObserver(n.observed, false, n.observes)
	n.raft.RegisterObserver(n.observer)
	if n.opts.Elected != nil && n.raft.State() == raft.Leader { // elected before the observer was registered
		n.opts.Elected(n.raft.CurrentTerm())
	}
	n.wg.Go(func() {
		for {
			select {
			case <-n.stop:
				return
			case <-n.observed:
				n.TellChanged()
			}
		}
	})
}

// observes is a filter that Raft calls synchronously for each of its events. It passes on the changes of the leader.
func (n *Node) observes(o *raft.Observation) bool {
	switch d := o.Data.(type) {
	case raft.RaftState:
		switch {
		case d == raft.Candidate && n.opts.Stood != nil:
			n.opts.Stood()
		case d == raft.Leader && n.opts.Elected != nil:
			n.opts.Elected(o.Raft.CurrentTerm())
		}
	case raft.LeaderObservation:
		if d.LeaderID != "" && n.opts.Led != nil {
			n.opts.Led(serverid.ID(d.LeaderID))
		}
		return true
	}
	return false
}

// LeaderChanged returns a channel that is closed when the leader changes, or what this node knows about the leader.
func (n *Node) LeaderChanged() <-chan struct{} {
	n.observations.mu.Lock()
	defer n.observations.mu.Unlock()
	return n.observations.changed
}

// TellChanged closes the channel that LeaderChanged has returned.
func (n *Node) TellChanged() {
	n.observations.mu.Lock()
	defer n.observations.mu.Unlock()
	close(n.observations.changed)
	n.observations.changed = make(chan struct{})
}
