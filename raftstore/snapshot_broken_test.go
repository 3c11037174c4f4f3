package raftstore_test

import (
	"testing"

	"github.com/distcache/distcache/raftstore"
)

// A snapshot is broken off in the middle, once because the follower is started again, and once because the leader is
// cut off. The next leader sends its own.
func TestBrokenOffSnapshot(t *testing.T) {
	t.Parallel()
	c, leader, stays, away := withAway(t, raftstore.LogWAL)
	bulk(t, leader, 1<<20)
	w := load(t, stays)
	away.Stop()
	trimmed(t, leader.Status().LastIndex, leader, stays)

	hold := away.Hold(100_000)
	away.Start()
	receiving(t, away, hold)
	away.Stop()

	hold = away.Hold(300_000)
	away.Start()
	receiving(t, away, hold)
	leader.Isolate()
	hold.Release()
	// The other two are a majority, and one of them has next to nothing.
	sent(t, away, 0)
	w.more(50)
	leader.Heal()
	w.verify(c, away)
	away.Stop()
	away.Start()
	same(t, c)
}
