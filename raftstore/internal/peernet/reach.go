package peernet

import (
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
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
	silent map[raft.ServerID]silence
}

// A silence is one leader's, of one term: the next one does not wait before it has tried.
type silence struct {
	term uint64
	over chan struct{}
}

// heard notes what became of a heartbeat.
func (r *reach) heard(id raft.ServerID, term uint64, err error) {
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
			r.silent = make(map[raft.ServerID]silence)
		}
		r.silent[id] = silence{term, make(chan struct{})}
	}
}

// isSilent tells whether a node missed the last heartbeat.
func (r *reach) isSilent(id raft.ServerID, term uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.silent[id]
	return ok && s.term == term
}

// wait returns when a node has not missed the last heartbeat, or there is no more need to send to it.
func (r *reach) wait(id raft.ServerID, term uint64, needed func() bool) {
	r.mu.Lock()
	s, ok := r.silent[id]
	r.mu.Unlock()
	if !ok || s.term != term {
		return
	}
	t := time.NewTicker(silencePoll)
	defer t.Stop()
	for needed() {
		select {
		case <-s.over:
			return
		case <-t.C:
		}
	}
}

// isHeartbeat tells Raft's heartbeats from what it sends to have entries in a log: that follows an entry, or has the first.
func isHeartbeat(req *raft.AppendEntriesRequest) bool {
	return len(req.Entries) == 0 && req.PrevLogEntry == 0
}
