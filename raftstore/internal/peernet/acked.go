package peernet

import (
	"sync"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// acked is the last index that each node has acknowledged to this node, as the leader of one term. During a leader's
// term no node's log gets shorter, unless the node was restored from an older copy or its disk has lost synced data.
// The zero value is ready for use.
type acked struct {
	mu    sync.Mutex
	term  uint64
	index map[serverid.ID]uint64
}

// note notes that a node has acknowledged an index in a term.
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

// of is the index that a node's log must reach from now on, in a term; 0 when the node has acknowledged nothing.
func (a *acked) of(id serverid.ID, term uint64) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if term != a.term {
		return 0
	}
	return a.index[id]
}
