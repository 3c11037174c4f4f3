package peernet

import (
	"sync"

	"github.com/hashicorp/raft"
)

// acked is how far each node's log reached by its own answers to this node, as the leader of one term. A log never gets
// shorter while one leader leads: one that does was restored from an older copy, or is on a disk that lost what had been
// synced. The zero value is ready for use.
type acked struct {
	mu    sync.Mutex
	term  uint64
	index map[raft.ServerID]uint64
}

// note takes note of an answer to entries in a term.
func (a *acked) note(id raft.ServerID, term, index uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if term > a.term {
		a.term, a.index = term, nil
	}
	if term < a.term {
		return
	}
	if a.index == nil {
		a.index = make(map[raft.ServerID]uint64)
	}
	a.index[id] = max(a.index[id], index)
}

// of is how far a node's log must reach, when asked from now on, in a term.
func (a *acked) of(id raft.ServerID, term uint64) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if term != a.term {
		return 0
	}
	return a.index[id]
}

// acknowledged is the index up to which a node that took a request has the sender's log.
func acknowledged(req *raft.AppendEntriesRequest) uint64 {
	if n := len(req.Entries); n > 0 {
		return req.Entries[n-1].Index
	}
	return req.PrevLogEntry
}
