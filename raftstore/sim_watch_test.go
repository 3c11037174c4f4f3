package raftstore

import (
	"hash/fnv"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/state"
)

// A watch holds what the nodes of a simulation apply, and which of them lead, against each other. There is one cluster.
// Where nodes stand alone at first there are several, and a replica counts from when there are others in its configuration.
type watch struct {
	fail func(what, format string, args ...any)

	apart bool // nodes stand alone at first

	mu      sync.Mutex
	cluster clusterWatch
}

// A clusterWatch is what is known of one cluster.
type clusterWatch struct {
	leaders map[uint64]string  // by term
	entries map[uint64]sighted // what was committed, by index
	states  map[uint64]sighted // a digest of the state machine, by applied index
}

// A sighted is something and who had it first.
type sighted struct {
	sum  uint64
	term uint64
	by   string
}

func newWatch(fail func(what, format string, args ...any)) *watch {
	return &watch{fail: fail, cluster: clusterWatch{leaders: map[uint64]string{}, entries: map[uint64]sighted{},
		states: map[uint64]sighted{}}}
}

// A nodeWatch watches one life of a replica: of a node's Raft.
type nodeWatch struct {
	w   *watch
	who string
	raft.BatchingFSM
	m *state.Machine

	mu    sync.Mutex
	raft  *raft.Raft            // nil at first
	early []func(*clusterWatch) // until it counts
}

// note has something checked when this replica counts.
func (n *nodeWatch) note(f func(*clusterWatch)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.early = append(n.early, f)
	if n.w.apart && (n.raft == nil || len(n.raft.GetConfiguration().Configuration().Servers) < 2) {
		return
	}
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	for _, f := range n.early {
		f(&n.w.cluster)
	}
	n.early = nil
}

// leads notes that a node leads in a term.
func (n *nodeWatch) leads(term uint64) {
	n.note(func(c *clusterWatch) {
		if other, ok := c.leaders[term]; ok && other != n.who {
			n.w.fail("two leaders", "%s and %s both led term %d", other, n.who, term)
		}
		c.leaders[term] = n.who
	})
}

// ApplyBatch applies entries one at a time, and notes them and what they lead to.
func (n *nodeWatch) ApplyBatch(ls []*raft.Log) []any {
	results := make([]any, 0, len(ls))
	for i, l := range ls {
		h := fnv.New64a()
		h.Write([]byte{byte(l.Type)})
		h.Write(l.Data)
		seen := sighted{h.Sum64(), l.Term, n.who}
		index := l.Index
		n.note(func(c *clusterWatch) { n.compare(c.entries, "another entry", index, seen) })
		results = append(results, n.BatchingFSM.ApplyBatch(ls[i:i+1])...)
		n.digest()
	}
	return results
}

// digest notes the state as it is, on the goroutine that applies.
func (n *nodeWatch) digest() {
	applied, digest := n.m.Digest()
	n.note(func(c *clusterWatch) { n.compare(c.states, "another state", applied, sighted{digest, 0, n.who}) })
}

// compare holds what this node has at an index against what others had.
func (n *nodeWatch) compare(all map[uint64]sighted, what string, index uint64, seen sighted) {
	first, ok := all[index]
	if !ok {
		all[index] = seen
		return
	}
	if first.sum != seen.sum || first.term != seen.term {
		n.w.fail(what, "at %d, %s has term %d, sum %x; %s had term %d, sum %x", index, n.who, seen.term, seen.sum,
			first.by, first.term, first.sum)
	}
}

// Restore installs a snapshot, and notes the state that it brings.
func (n *nodeWatch) Restore(r io.ReadCloser) error {
	err := n.BatchingFSM.Restore(r)
	if err == nil {
		n.digest()
	}
	return err
}

// observe notes each election that this node wins, at the moment at which it does.
func (n *nodeWatch) observe(r *raft.Raft) {
	n.mu.Lock()
	n.raft = r
	n.mu.Unlock()
	if r.State() == raft.Leader { // since before it could be observed
		n.leads(r.CurrentTerm())
	}
	r.RegisterObserver(raft.NewObserver(nil, false, func(o *raft.Observation) bool {
		if st, ok := o.Data.(raft.RaftState); ok && st == raft.Leader {
			n.leads(o.Raft.CurrentTerm())
		}
		return false
	}))
}
