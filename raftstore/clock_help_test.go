package raftstore

import (
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// JumpAhead has the log's time be ahead, as a leader does whose clock is, and which is then put right.
func JumpAhead(t testing.TB, s *Store, d time.Duration) {
	t.Helper()
	b := entry.Begin(nil)
	entry.Seal(b, entry.Header{Stamp: uint64(time.Now().Add(d).UnixMilli())})
	if err := s.node.Load().raft.Apply(b, time.Minute).Error(); err != nil {
		t.Fatal(err)
	}
}

// KnowsTheTime tells whether a node that does not lead has seen the log's last stamp, so that it could go on from there.
func KnowsTheTime(s *Store) bool {
	n := s.node.Load()
	stamp, _ := n.state.Clock()
	c := &n.batcher.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stamp >= stamp
}
