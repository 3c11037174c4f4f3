package raftstore

import (
	"hash/fnv"
	"sync"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/state"
	"github.com/distcache/distcache/wire"
)

// A watch holds what the nodes of a simulation apply, and which of them lead, against each other. There is one cluster.
// Where nodes stand alone at first there are several, and a replica counts from when there are others in its
// configuration.
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

// A nodeWatch watches one life of a replica: it is its state machine, as Raft has it.
type nodeWatch struct {
	w   *watch
	who string
	m   *state.Machine
	raftnode.Machine

	mu    sync.Mutex
	raft  *raftnode.Node        // nil at first
	early []func(*clusterWatch) // until it counts
}

// note has something checked when this replica counts.
func (n *nodeWatch) note(f func(*clusterWatch)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.early = append(n.early, f)
	if n.w.apart && (n.raft == nil || len(n.raft.Members()) < 2) {
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

// Apply applies an entry, and notes it and what it leads to.
func (n *nodeWatch) Apply(index, term uint64, data []byte) ([]wire.Status, error) {
	n.applies(index, term, data)
	defer n.digest()
	return n.Machine.Apply(index, term, data)
}

// Advance notes a configuration.
func (n *nodeWatch) Advance(index, term uint64) {
	n.applies(index, term, nil)
	n.Machine.Advance(index, term)
	n.digest()
}

func (n *nodeWatch) applies(index, term uint64, data []byte) {
	h := fnv.New64a()
	h.Write(data)
	seen := sighted{h.Sum64(), term, n.who}
	n.note(func(c *clusterWatch) { n.compare(c.entries, "another entry", index, seen) })
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

// Install installs a snapshot, and notes the state that it brings.
func (n *nodeWatch) Install(file string) error {
	err := n.Machine.Install(file)
	if err == nil {
		n.digest()
	}
	return err
}

// follow has the watch know the replica's configuration.
func (n *nodeWatch) follow(r *raftnode.Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.raft = r
}
