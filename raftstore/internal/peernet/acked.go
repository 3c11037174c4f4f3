package peernet

import (
	"sync"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// acked is how far each node's log reached by its own answers to this node, as the leader of one term. A log never gets
// shorter while one leader leads: one that does was restored from an older copy, or is on a disk that lost what had been
// synced. The zero value is ready for use.
type acked struct {
	mu    sync.Mutex
	term  uint64
	index map[serverid.ID]uint64
}

// note takes note of an answer to entries in a term.
func (a *acked) note(id serverid.ID, term, index uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if term > a.term {
		a.term, a.index = term, nil
	}
	if term < a.term {
		return
	}
	if a.index == nil {
		a.index = make(map[serverid.ID]uint64)
	}
	a.index[id] = max(a.index[id], index)
}

// of is how far a node's log must reach, when asked from now on, in a term.
func (a *acked) of(id serverid.ID, term uint64) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if term != a.term {
		return 0
	}
	return a.index[id]
}
