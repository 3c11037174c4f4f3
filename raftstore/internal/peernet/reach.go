package peernet

import (
	"errors"
	"sync"
	"time"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// Raft tries again to send entries to a node that is down, less and less often: in the end each ten seconds, and for so
// long one that is up again gets none. If another one dies meanwhile, nothing can be committed. Heartbeats go on, two in a
// heartbeat timeout. So the sending of entries to a node that does not answer those fails only when it does again.

var errSilent = errors.New("it did not answer heartbeats")

// silencePoll is how often it is looked whether there still is something to wait for.
const silencePoll = 100 * time.Millisecond

// A reach is which nodes do not answer heartbeats. Any number of goroutines may use it.
type reach struct {
	mu     sync.Mutex
	silent map[serverid.ID]silence
}

// A silence is one leader's, of one term: the next one does not wait before it has tried.
type silence struct {
	term uint64
	over chan struct{}
}

// heard notes what became of a heartbeat.
func (r *reach) heard(id serverid.ID, term uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.silent[id]
	if ok && s.term > term {
		return // of a leader that was
	}
	if ok && (err == nil || s.term < term) {
		close(s.over)
		delete(r.silent, id)
		ok = false
	}
	if err != nil && !ok {
		if r.silent == nil {
			r.silent = make(map[serverid.ID]silence)
		}
		r.silent[id] = silence{term, make(chan struct{})}
	}
}

// silence is closed when a node that missed the last heartbeat answers one; nil when it did not miss it.
func (r *reach) silence(id serverid.ID, term uint64) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.silent[id]; ok && s.term == term {
		return s.over
	}
	return nil
}

// outlast returns when a silence is over, or there is no more need to send to that node.
func outlast(over <-chan struct{}, needed func() bool) {
	t := time.NewTicker(silencePoll)
	defer t.Stop()
	for needed() {
		select {
		case <-over:
			return
		case <-t.C:
		}
	}
}
