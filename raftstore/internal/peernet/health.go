package peernet

import (
	"errors"
	"sync"
	"time"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// Raft retries sending entries to a node that is down less and less often, in the end every ten seconds. So a node that
// is up again would get no entries for as long, and if another node died meanwhile, nothing could be committed.
// Heartbeats go on, two in each heartbeat timeout. So sending entries to a node that does not answer heartbeats fails
// only when the node answers heartbeats again: then Raft retries at once.

var errDown = errors.New("the node does not answer heartbeats")

// downPoll is how often a sender checks whether it still has to wait.
const downPoll = 100 * time.Millisecond

// followerHealth knows which nodes do not answer heartbeats. Any number of goroutines may use it.
type followerHealth struct {
	mu   sync.Mutex
	down map[serverid.ID]outage
}

// An outage begins when a node misses a heartbeat. It counts for one term: a leader of a later term waits only after it
// has tried itself.
type outage struct {
	term uint64
	over chan struct{}
}

// heartbeat notes the outcome of a heartbeat.
func (h *followerHealth) heartbeat(id serverid.ID, term uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o, ok := h.down[id]
	if ok && o.term > term {
		return // a heartbeat of a former leader
	}
	if ok && (err == nil || o.term < term) {
		close(o.over)
		delete(h.down, id)
		ok = false
	}
	if err != nil && !ok {
		if h.down == nil {
			h.down = make(map[serverid.ID]outage)
		}
		h.down[id] = outage{term, make(chan struct{})}
	}
}

// outage returns a channel that is closed when a node that has missed a heartbeat answers one. It is nil when the node
// answered the last heartbeat.
func (h *followerHealth) outage(id serverid.ID, term uint64) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o, ok := h.down[id]; ok && o.term == term {
		return o.over
	}
	return nil
}

// waitWhileDown returns when an outage is over, or when the caller no longer needs to send to the node.
func waitWhileDown(over <-chan struct{}, needed func() bool) {
	t := time.NewTicker(downPoll)
	defer t.Stop()
	for needed() {
		select {
		case <-over:
			return
		case <-t.C:
		}
	}
}
