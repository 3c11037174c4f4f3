package raftnode

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/wire"
)

const (
	// proposePatience is how long Raft may take to accept an entry.
	proposePatience = 5 * time.Second
	// transferPatience is how long a transfer of leadership may keep Raft from taking entries: longer than Raft waits for
	// the node that it hands over to.
	transferPatience = 2 * transportTimeout
)

// What a proposal can come to.
var (
	// ErrNotProposed means that the entry is not in the log, and will not be.
	ErrNotProposed = errors.New("the entry was not taken")
	// ErrLost means that the entry may be committed, or not.
	ErrLost = errors.New("what became of the entry is not known")
)

// Propose hands Raft a log entry, and returns when Raft has taken it or refused it. The function waits until the entry
// has been applied here, and gives the status of each operation; it is called once. The bytes must not be changed.
func (n *Node) Propose(data []byte) (wait func() ([]wire.Status, error)) {
	f := n.raft.Apply(data, proposePatience)
	return func() ([]wire.Status, error) {
		err := n.await(f)
		n.stuck.watch(err, n.opts.Fail)
		switch {
		case err == nil:
			r, _ := f.Response().(applied)
			return r.statuses, r.err
		case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
			return nil, ErrNotProposed
		}
		return nil, ErrLost
	}
}

// A stuckTransfer notices a transfer of leadership that has begun and does not end (hashicorp/raft#696): such a leader
// takes no writes, and lets nobody else lead.
type stuckTransfer struct {
	mu    sync.Mutex
	since time.Time // zero: no transfer keeps Raft from taking entries
}

// watch takes note of what became of an entry, and gives the node up when that has been the same for too long.
func (s *stuckTransfer) watch(err error, fail func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !errors.Is(err, raft.ErrLeadershipTransferInProgress):
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = time.Now()
	case time.Since(s.since) > transferPatience:
		fail(fmt.Errorf("a transfer of leadership has not ended after %s", transferPatience))
	}
}
