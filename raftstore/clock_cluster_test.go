package raftstore_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// expires makes sure that a session of a moment comes to its end.
func expires(t *testing.T, s *raftstore.Store, i int) {
	t.Helper()
	if err := s.Add(ctxFor(t, patience), id(i), data(i), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	testcluster.Eventually(t, func() error {
		if err := s.Have(ctxFor(t, patience), id(i)); err != wire.NotOK {
			return errors.Join(errors.New("it is still there"), err)
		}
		return nil
	})
}

// The log's time goes on after a leader's clock was ahead and has gone back, also with another leader, and when all
// have started again.
func TestTimeGoesOnWhenAClockWentBack(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	add(t, c.Leader().Store, 1)
	raftstore.JumpAhead(t, c.Leader().Store, 30*time.Minute)
	expires(t, c.Leader().Store, 2)
	for _, n := range c.Followers() {
		testcluster.Eventually(t, func() error {
			if !raftstore.KnowsTheTime(n.Store) {
				return errors.New("it does not see the stamps of the leader")
			}
			return nil
		})
	}
	old := c.Leader()
	if err := old.Transfer(ctxFor(t, patience), ""); err != nil {
		t.Fatal(err)
	}
	expires(t, old.Store, 3)
	for _, n := range c.Nodes {
		n.Stop()
	}
	for _, n := range c.Nodes {
		n.Start()
	}
	expires(t, old.Store, 4)
	found(t, old.Store, 1)
	c.Agree()
}

// timed starts three nodes with clocks of their own.
func timed(t *testing.T) (*testcluster.Cluster, map[string]*raftstore.WallClock) {
	t.Helper()
	clocks := map[string]*raftstore.WallClock{"n1": {}, "n2": {}, "n3": {}}
	return testcluster.Start(t, 3, func(cfg *raftstore.Config) { clocks[cfg.Name].Of(cfg) }), clocks
}

// says waits until a node says of the clocks what is wanted.
func says(t *testing.T, n *testcluster.Node, want string) {
	t.Helper()
	testcluster.Eventually(t, func() error {
		if got := n.Status().Clocks; got != want {
			return fmt.Errorf("%s says %q of the clocks, want %q", n.Config.Name, got, want)
		}
		return nil
	})
}

// onTime makes sure that a node's time is about right. A minute is for a machine that is busy.
func onTime(t *testing.T, n *testcluster.Node) {
	t.Helper()
	if off := time.Since(n.LogTime()); off.Abs() > time.Minute {
		t.Errorf("the time of %s is off by %v", n.Config.Name, off)
	}
}

// One clock of three that is an hour ahead or behind changes nothing, whoever leads, and all name the node.
func TestOneClockIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		off  time.Duration
		says string
	}{
		"ahead":  {time.Hour, " is 1h0m0s ahead"},
		"behind": {-time.Hour, " is 1h0m0s behind"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, clocks := timed(t)
			leader := cluster.Leader()
			if err := leader.Add(ctxFor(t, patience), id(1), data(1), 30*time.Minute); err != nil {
				t.Fatal(err)
			}
			off := leader.Config.Name
			clocks[off].Set(c.off)
			for _, n := range cluster.Running() {
				says(t, n, off+c.says)
			}
			expires(t, leader.Store, 2)
			lead(t, cluster.Others(leader)[0])
			expires(t, leader.Store, 3)
			lead(t, leader)
			expires(t, leader.Store, 4)
			for _, n := range cluster.Running() {
				found(t, n.Store, 1)
				onTime(t, n)
			}
			for _, o := range leader.Metrics().Clocks {
				if is := o.Offset.Round(time.Minute); o.Node == off && is != c.off || o.Node != off && is != 0 {
					t.Errorf("%s is said to be %v ahead", o.Node, o.Offset)
				}
			}
			clocks[off].Set(0)
			for _, n := range cluster.Running() {
				says(t, n, "")
			}
		})
	}
}

// A cluster that begins with one wrong clock, and starts again with it, goes by the others'.
func TestWrongClockFromTheBeginning(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		wrong := new(raftstore.WallClock)
		wrong.Set(off)
		c := testcluster.Start(t, 3, func(cfg *raftstore.Config) {
			if cfg.Name == "n1" {
				wrong.Of(cfg)
			}
		})
		n1 := c.Nodes["n1"]
		lead(t, n1)
		add(t, n1.Store, 1)
		for _, n := range c.Nodes {
			n.Stop()
		}
		for _, n := range c.Nodes {
			n.Start()
		}
		lead(t, n1)
		found(t, n1.Store, 1)
		for _, n := range c.Running() {
			testcluster.Eventually(t, func() error { return n.Have(ctxFor(t, patience), id(1)) })
			onTime(t, n)
		}
	}
}

// Where two of three clocks agree that time has gone forward, it has. So it is on a node that stands alone.
func TestTimeFollowsTheClocks(t *testing.T) {
	t.Parallel()
	c, clocks := timed(t)
	add(t, c.Leader().Store, 1)
	for _, name := range []string{"n1", "n2"} {
		clocks[name].Set(2 * time.Hour)
	}
	missingSoon := func(n *testcluster.Node) {
		t.Helper()
		testcluster.Eventually(t, func() error {
			if err := n.Have(ctxFor(t, patience), id(1)); err != wire.NotOK {
				return errors.Join(errors.New("it is still there"), err)
			}
			return nil
		})
	}
	for _, n := range c.Running() {
		missingSoon(n)
	}

	clock := new(raftstore.WallClock)
	lone := testcluster.New(t).Add("lone", clock.Of)
	lone.Start()
	add(t, lone.Store, 1)
	clock.Set(2 * time.Hour)
	missingSoon(lone)
	clock.Set(0)
	expires(t, lone.Store, 2)
}
