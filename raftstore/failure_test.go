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

func TestMinorityIsDisconnected(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	add(t, c.Leader().Store, 1)
	last := c.Followers()[0]
	for _, n := range c.Running() {
		if n != last {
			n.Stop()
		}
	}
	ops := map[string]func() error{
		"add":    func() error { return last.Add(ctxFor(t, time.Second), id(2), data(2), time.Hour) },
		"get":    func() error { _, err := last.Get(ctxFor(t, time.Second), id(1)); return err },
		"have":   func() error { return last.Have(ctxFor(t, time.Second), id(1)) },
		"remove": func() error { return last.Remove(ctxFor(t, time.Second), id(1)) },
	}
	for name, op := range ops {
		if err := op(); err != wire.Disconnected {
			t.Errorf("%s on a minority: %v, want Disconnected", name, err)
		}
	}
	for _, n := range c.Nodes {
		if n.Store == nil {
			n.Start()
		}
	}
	c.Leader()
	add(t, last.Store, 3)
}

// A leader that is cut off must not answer a read from its state once the others may have gone on without it.
func TestIsolatedLeaderDoesNotAnswer(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	old := c.Leader()
	add(t, old.Store, 1)
	old.Isolate()
	if err := old.Have(ctxFor(t, 2*time.Second), id(1)); err != wire.Disconnected {
		t.Fatalf("an isolated leader answered %v", err)
	}
	var next *testcluster.Node
	testcluster.Eventually(t, func() error {
		for _, n := range c.Running() {
			if n != old && n.Status().Role == raftstore.RoleLeader {
				next = n
				return nil
			}
		}
		return errors.New("no new leader")
	})
	if err := next.Remove(ctxFor(t, patience), id(1)); err != nil {
		t.Fatal(err)
	}
	old.Heal()
	missing(t, old.Store, 1)
	c.Agree()
}

// The same writes, asked again and again while leaders come and go, happen once.
func TestWritesSurviveChangesOfLeader(t *testing.T) { bothLogs(t, testWritesSurviveChangesOfLeader) }

func testWritesSurviveChangesOfLeader(t *testing.T, kind raftstore.LogKind) {
	c := testcluster.Start(t, 3, func(cfg *raftstore.Config) { cfg.RaftLog = kind })
	done := make(chan error, 3)
	stop := make(chan struct{})
	for w, n := range c.Running() {
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				k := w*1_000_000 + i
				// Nobody else adds this id: MatchingSession would mean that it was added twice.
				if err := n.Add(ctxFor(t, patience), id(k), data(k), time.Hour); err != nil {
					done <- fmt.Errorf("add %d: %w", k, err)
					return
				}
				if i%3 != 0 {
					continue
				}
				if err := n.Remove(ctxFor(t, patience), id(k)); err != nil {
					done <- fmt.Errorf("remove %d: %w", k, err)
					return
				}
			}
		}()
	}
	for range 3 {
		old := c.Leader()
		old.Isolate()
		testcluster.Eventually(t, func() error {
			for _, n := range c.Running() {
				if n != old && n.Status().Role == raftstore.RoleLeader {
					return nil
				}
			}
			return errors.New("no new leader")
		})
		old.Heal()
		c.Leader()
		if err := c.Leader().Transfer(ctxFor(t, patience), ""); err != nil {
			t.Logf("transfer: %v", err)
		}
	}
	close(stop)
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	c.Agree()
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	n := c.Followers()[0]
	if err := n.Add(ctxFor(t, patience), id(1), data(1), 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	add(t, n.Store, 2)
	// Nothing else happens, and it goes from every node by itself.
	for _, n := range c.Running() {
		testcluster.Eventually(t, func() error {
			if l := n.Len(); l != 1 {
				return fmt.Errorf("%s has %d sessions", n.Config.Name, l)
			}
			return nil
		})
	}
	missing(t, n.Store, 1)
}

func TestExpiryAcrossRestart(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	n := c.Add("one", func(*raftstore.Config) {})
	n.Start()
	if err := n.Add(ctxFor(t, patience), id(1), data(1), 500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	gone := time.Now().Add(500 * time.Millisecond)
	add(t, n.Store, 2)
	n.Stop()
	<-time.After(time.Until(gone))
	n.Start()
	found(t, n.Store, 2)
	testcluster.Eventually(t, func() error {
		if _, err := n.Get(ctxFor(t, time.Second), id(1)); err != wire.NotOK {
			return fmt.Errorf("get: %v", err)
		}
		return nil
	})
}

func TestLimit(t *testing.T) {
	t.Parallel()
	const limit, total = 100, 500
	c := testcluster.Start(t, 3, func(cfg *raftstore.Config) { cfg.Sessions = limit })
	n := c.Followers()[0]
	errs := make(chan error, total)
	for i := range total {
		go func() {
			// Later ids expire later, whatever the order in which they come.
			errs <- n.Add(ctxFor(t, patience), id(i), data(i), time.Hour+time.Duration(i)*time.Minute)
		}()
	}
	for range total {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	c.Agree()
	for _, n := range c.Running() {
		if n.Len() != limit {
			t.Errorf("%s has %d sessions", n.Config.Name, n.Len())
		}
		for _, i := range []int{total - limit, total - 1} {
			found(t, n.Store, i)
		}
		for _, i := range []int{0, total - limit - 1} {
			missing(t, n.Store, i)
		}
	}
}

// A follower that was away for longer than the log reaches gets the state itself.
func TestSnapshotToFollower(t *testing.T) { bothLogs(t, testSnapshotToFollower) }

func testSnapshotToFollower(t *testing.T, kind raftstore.LogKind) {
	c := testcluster.Start(t, 3, func(cfg *raftstore.Config) { cfg.LogBytes, cfg.BatchBytes, cfg.RaftLog = 1<<10, 1<<8, kind })
	away := c.Followers()[0]
	add(t, away.Store, 0)
	away.Stop()
	leader := c.Leader()
	first := leader.Status().LogFirst
	for i := range 10 {
		add(t, leader.Store, i+1)
	}
	big := make([]byte, 10_000)
	testcluster.Eventually(t, func() error {
		for range 20 { // the log grows, the state does not
			if err := leader.Add(ctxFor(t, patience), []byte("big"), big, time.Hour); err != nil {
				t.Fatal(err)
			}
			if err := leader.Remove(ctxFor(t, patience), []byte("big")); err != nil {
				t.Fatal(err)
			}
		}
		if leader.Status().LogFirst <= first+20 {
			return errors.New("the log has not been compacted")
		}
		return nil
	})
	away.Start()
	c.Agree()
	for _, k := range []int{0, 1, 10} {
		found(t, away.Store, k)
	}
	add(t, leader.Store, 11) // its log goes on after the snapshot
	c.Agree()
	away.Stop()
	away.Start()
	c.Agree()
	found(t, away.Store, 11)
}
