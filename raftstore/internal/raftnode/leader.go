package raftnode

import (
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A Role is what Raft is doing.
type Role int

// Roles.
const (
	Follower Role = iota
	Candidate
	Leader
	Stopped
)

// Role is this node's.
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

// ID is this node's own.
func (n *Node) ID() serverid.ID { return n.id }

// Term is Raft's current term.
func (n *Node) Term() uint64 { return n.raft.CurrentTerm() }

// LastIndex is that of the last entry, in the log or in a snapshot.
func (n *Node) LastIndex() uint64 { return n.raft.LastIndex() }

// CommitIndex is that of the last entry that this node knows to be committed.
func (n *Node) CommitIndex() uint64 { return n.raft.CommitIndex() }

// LastEntry is the index and term of the last entry, in the log or in a snapshot. Raft says the term in its statistics
// only.
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

// LeaderID is the server that leads, as far as this node knows; empty when it knows of none.
func (n *Node) LeaderID() serverid.ID {
	_, id := n.raft.LeaderWithID()
	return serverid.ID(id)
}

// Leader is where the leader is reached. It is false when this node leads itself, knows no leader, or not where. Each
// request for the leader asks, so that the answer counts for some milliseconds: Raft copies its configuration for it.
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

// A knownLeader is where the leader was found, and when.
type knownLeader struct {
	peer peernet.Peer
	when time.Time
}

// knownLife is far less than anything that depends on the leader's address takes.
const knownLife = 10 * time.Millisecond

// Leads tells of each change of this node's leadership. One goroutine receives.
func (n *Node) Leads() <-chan bool { return n.raft.LeaderCh() }

// observations are what Raft tells of leadership.
type observations struct {
	observer *raft.Observer
	observed chan raft.Observation

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when the leader, or what this node knows of it, changes
}

func (n *Node) observe() {
	n.observed = make(chan raft.Observation, 16)
	n.observer = raft.NewObserver(n.observed, false, n.observes)
	n.raft.RegisterObserver(n.observer)
	if n.opts.Elected != nil && n.raft.State() == raft.Leader { // since before that could be observed
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

// observes is called by Raft at the moment at which something happens.
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

// LeaderChanged returns a channel that is closed at the next change of leadership.
func (n *Node) LeaderChanged() <-chan struct{} {
	n.observations.mu.Lock()
	defer n.observations.mu.Unlock()
	return n.observations.changed
}

// TellChanged closes what LeaderChanged gave.
func (n *Node) TellChanged() {
	n.observations.mu.Lock()
	defer n.observations.mu.Unlock()
	close(n.observations.changed)
	n.observations.changed = make(chan struct{})
}
