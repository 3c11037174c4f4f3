package raftstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// withAway starts a cluster of a leader, a follower that stays, and one that is to be away, whose log is of the kind.
// The others' are not: raft-wal gives entries that were deleted as long as others in their file were not, so that what
// is away for a short while needs no snapshot.
func withAway(t *testing.T, kind raftstore.LogKind) (c *testcluster.Cluster, leader, stays, away *testcluster.Node) {
	t.Helper()
	c = testcluster.Start(t, 3)
	leader = c.Leader()
	stays, away = c.Others(leader)[0], c.Others(leader)[1]
	if kind != away.Config.RaftLog {
		away.Stop()
		if _, err := raftstore.ConvertLog(context.Background(), away.Config.Dir, kind); err != nil {
			t.Fatal(err)
		}
		away.Config.RaftLog = kind
		away.Start()
	}
	return c, leader, stays, away
}

// A follower is away again and again, stopped or cut off, each time for longer than the others' logs reach, while they
// are written to.
func TestAwayLongerThanTheLog(t *testing.T) { bothLogs(t, testAwayLongerThanTheLog) }

func testAwayLongerThanTheLog(t *testing.T, kind raftstore.LogKind) {
	c, leader, stays, away := withAway(t, kind)
	w := load(t, leader, stays)
	received := uint64(0) // state
	for round := range 3 {
		leave, back := away.Stop, away.Start
		if round == 1 {
			leave, back = away.Isolate, away.Heal
		}
		w.more(50)
		leave()
		trimmed(t, leader.Status().LastIndex, leader, stays)
		back()
		received = sent(t, away, received)
		caughtUp(t, away, leader)
	}
	w.verify(c, away)
}

// A leader sends a snapshot while it is written to, and takes snapshots, and rewrites its files.
func TestLeaderIsBusyWhileItSends(t *testing.T) {
	t.Parallel()
	c, leader, stays, away := withAway(t, raftstore.LogBolt)
	bulk(t, leader, 1<<20)
	w := load(t, leader, stays)
	away.Stop()
	trimmed(t, leader.Status().LastIndex, leader, stays)
	hold := away.Hold(100_000)
	away.Start()
	receiving(t, away, hold)
	var gone uint64 // with the first of these snapshots the log that follows on the one that is being sent
	for range 3 {
		w.more(100)
		gone = leader.Status().LastIndex
		trimmed(t, gone, leader, stays) // also of the one that may lead by then
	}
	if _, err := leader.Compact(ctxFor(t, patience)); err != nil {
		t.Fatal(err)
	}
	w.more(100)
	hold.Release()
	sent(t, away, gone) // the next one
	caughtUp(t, away, leader)
	w.verify(c, away)
	away.Stop()
	away.Start()
	same(t, c)
}

// Leadership is not handed to a node that is being sent a snapshot: until it has all of it, nobody could write.
func TestTransferToReceiver(t *testing.T) {
	t.Parallel()
	_, leader, stays, away := withAway(t, raftstore.LogBolt)
	away.Stop()
	left := leader.Status().LastIndex
	bulk(t, leader, 1<<20)
	trimmed(t, left, leader)
	hold := away.Hold(100_000)
	away.Start()
	receiving(t, away, hold)
	if err := leader.Transfer(ctxFor(t, 3*time.Second), away.Config.Name); err == nil {
		t.Error("a node that has half of a snapshot leads")
	}
	add(t, leader.Store, 2)
	found(t, stays.Store, 2)
	hold.Release()
	if err := leader.Transfer(ctxFor(t, patience), away.Config.Name); err != nil {
		t.Fatal(err)
	}
	found(t, away.Store, 2)
}
