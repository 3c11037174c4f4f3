package raftstore

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// JumpAhead has the log's time be ahead, as a leader does whose clock is, and which is then put right.
func JumpAhead(t testing.TB, s *Store, d time.Duration) {
	t.Helper()
	b := entry.Begin(nil)
	entry.Seal(b, entry.Header{Stamp: uint64(time.Now().Add(d).UnixMilli())})
	if _, err := s.node.Load().raft.Propose(b)(); err != nil {
		t.Fatal(err)
	}
}

// A WallClock is a node's that a test sets.
type WallClock struct{ ahead atomic.Int64 }

// Set puts the clock forward, or back, from the right time.
func (w *WallClock) Set(ahead time.Duration) { w.ahead.Store(int64(ahead)) }

// Of has a node go by the clock.
func (w *WallClock) Of(cfg *Config) {
	cfg.wallClock = func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
}

// LogTime is the log's time as a node goes on with it.
func (s *Store) LogTime() time.Time { return time.UnixMilli(int64(s.node.Load().clock.read())) }

// KnowsTheTime tells whether a node that does not lead has seen the log's last stamp, so that it could go on from
// there.
func KnowsTheTime(s *Store) bool {
	n := s.node.Load()
	stamp, _ := n.state.Clock()
	return n.clock.read() >= stamp
}
