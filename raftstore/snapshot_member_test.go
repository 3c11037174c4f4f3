package raftstore_test

import (
	"errors"
	"testing"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// While a follower is away nodes come and go, before the snapshot that it will be sent is taken, or after. It comes to
// know the members that there are, and still does when it is started again.
func TestMembersChangeWhileAway(t *testing.T) {
	for name, before := range map[string]bool{"before the snapshot": true, "after": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, leader, stays, away := withAway(t, raftstore.LogBolt)
			w := load(t, leader)
			away.Stop()
			left := leader.Status().LastIndex
			if !before {
				trimmed(t, left, leader)
			}
			join := func(cfg *raftstore.Config) { cfg.Join = []string{leader.Config.Peer} }
			lone(t, c, "n4", join)
			leader.Voters("n1", "n2", "n3", "n4")
			if err := leader.RemoveNode(ctxFor(t, patience), stays.Config.Name); err != nil {
				t.Fatal(err)
			}
			stays.Stop()
			lone(t, c, "n5", join)
			names := []string{leader.Config.Name, away.Config.Name, "n4", "n5"}
			leader.Voters(names...)
			if before {
				trimmed(t, leader.Status().LastIndex, leader)
			}
			away.Start()
			sent(t, away, 0)
			away.Voters(names...)
			away.Stop()
			away.Start()
			away.Voters(names...)
			w.verify(c, away)
		})
	}
}

// A node that was removed while it was away finds that out, though the log that says so is gone.
func TestRemovedWhileAway(t *testing.T) {
	t.Parallel()
	_, leader, stays, away := withAway(t, raftstore.LogBolt)
	w := load(t, leader)
	away.Stop()
	if err := leader.RemoveNode(ctxFor(t, patience), away.Config.Name); err != nil {
		t.Fatal(err)
	}
	trimmed(t, leader.Status().LastIndex, leader, stays)
	w.end()
	away.Start()
	<-away.Done()
	if err := away.Err(); !errors.Is(err, raftstore.ErrRemoved) {
		t.Fatalf("a removed node says %v", err)
	}
}

// A new node is started again while it is sent the snapshot, which does not have it among the members yet, and the
// leader changes. It becomes a voter all the same.
func TestJoinerIsStartedAgain(t *testing.T) {
	t.Parallel()
	c, leader, stays, away := withAway(t, raftstore.LogBolt)
	bulk(t, leader, 1<<20)
	w := load(t, stays)
	trimmed(t, leader.Status().LastIndex, leader, stays, away)
	n4 := c.Add("n4", func(cfg *raftstore.Config) {
		cfg.Peer, cfg.Join = testcluster.FreeAddress(t), []string{leader.Config.Peer, stays.Config.Peer}
	})
	hold := n4.Hold(100_000)
	n4.Start()
	receiving(t, n4, hold)
	n4.Stop()
	hold = n4.Hold(300_000)
	n4.Start()
	receiving(t, n4, hold)
	leader.Isolate()
	hold.Release()
	sent(t, n4, 0)
	leader.Heal()
	n4.Voters("n1", "n2", "n3", "n4")
	w.verify(c, n4)
}
