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
	// transferPatience is how long Raft may refuse entries because of a leadership transfer. It is longer than Raft
	// waits for the node that is to take over.
	transferPatience = 2 * transportTimeout
)

// Errors of a proposal.
var (
	// ErrNotProposed means that the entry is not in the log, and will not be.
	ErrNotProposed = errors.New("the entry was not taken")
	// ErrLost means that the entry may be committed, or not.
	ErrLost = errors.New("what became of the entry is not known")
)

// Propose hands a log entry to Raft, and returns when Raft has accepted or refused the entry. wait must be called once:
// it waits until the entry has been applied on this node, and returns the status of each operation. Nobody may change
// data any more.
func (n *Node) Propose(data []byte) (wait func() ([]wire.Status, error)) {
	f := n.raft.Apply(data, proposePatience)
	return func() ([]wire.Status, error) {
		err := n.await(f)
		n.stuck.watch(err, n.opts.Fail)
		switch {
		case err == nil:
			r, _ := f.Response().(applied)
			return r.statuses, r.err
		case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress),
			errors.Is(err, raft.ErrEnqueueTimeout):
			return nil, ErrNotProposed
		}
		return nil, ErrLost
	}
}

// A stuckTransfer detects a leadership transfer that has begun and does not end (hashicorp/raft#696): the leader then
// refuses writes, and still lets nobody else lead.
type stuckTransfer struct {
	mu    sync.Mutex
	since time.Time // of the first refusal; zero: the last entry was not refused because of a transfer
}

// watch notes the outcome of a proposal. It calls fail when a transfer has refused all entries for too long.
func (s *stuckTransfer) watch(err error, fail func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !errors.Is(err, raft.ErrLeadershipTransferInProgress):
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = time.Now()
	case time.Since(s.since) > transferPatience:
		fail(fmt.Errorf("a leadership transfer has not ended after %s", transferPatience))
	}
}
