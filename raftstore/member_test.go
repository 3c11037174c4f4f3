package raftstore_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// lone makes and starts a node that stands alone and has a peer port.
func lone(t testing.TB, c *testcluster.Cluster, name string, change ...func(*raftstore.Config)) *testcluster.Node {
	n := c.Add(name, func(cfg *raftstore.Config) {
		cfg.Peer = testcluster.FreeAddress(t)
		for _, f := range change {
			f(cfg)
		}
	})
	n.Start()
	return n
}

func TestLoneNodesBecomeOneCluster(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	n1, n2, n3 := lone(t, c, "n1"), lone(t, c, "n2"), lone(t, c, "n3")
	add(t, n1.Store, 1)
	add(t, n3.Store, 2)
	if err := n2.Join(ctxFor(t, patience), []string{n1.Config.Peer}, false); err != nil {
		t.Fatal(err)
	}
	err := n3.Join(ctxFor(t, patience), []string{n2.Config.Peer}, false)
	if !errors.Is(err, raftstore.ErrRefused) || !strings.Contains(err.Error(), "1 sessions") {
		t.Fatalf("a node with a session joined: %v", err)
	}
	found(t, n3.Store, 2)
	if err := n3.Join(ctxFor(t, patience), []string{n2.Config.Peer}, true); err != nil {
		t.Fatal(err)
	}
	n1.Voters("n1", "n2", "n3")
	found(t, n3.Store, 1)
	missing(t, n3.Store, 2)
	if err := n3.Join(ctxFor(t, patience), []string{n2.Config.Peer}, true); !errors.Is(err, raftstore.ErrRefused) {
		t.Fatalf("a member joined again: %v", err)
	}
	// The same flags as before change nothing.
	for _, n := range []*testcluster.Node{n2, n3} {
		n.Stop()
		n.Start()
	}
	n3.Voters("n1", "n2", "n3")
	found(t, n3.Store, 1)
}

func TestJoinRefusals(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	n1, n2 := lone(t, c, "n1"), lone(t, c, "n2")
	c.Leader()
	for name, at := range map[string]string{
		"itself":      n2.Config.Peer,
		"nobody":      testcluster.FreeAddress(t),
		"no address":  "somewhere",
		"no host":     ":9001",
		"unspecified": "0.0.0.0:9001",
	} {
		if err := n2.Join(ctxFor(t, 5*time.Second), []string{at}, false); err == nil {
			t.Errorf("joined through %s", name)
		}
	}
	add(t, n2.Store, 1) // it still serves
	twin := c.Add("twin", func(cfg *raftstore.Config) {
		cfg.Name, cfg.Peer = "n1", testcluster.FreeAddress(t)
	})
	twin.Start()
	err := twin.Join(ctxFor(t, patience), []string{n1.Config.Peer}, false)
	if !errors.Is(err, raftstore.ErrRefused) || !strings.Contains(err.Error(), "n1") {
		t.Fatalf("a node took a name that is in use: %v", err)
	}
}

func TestFourthJoinsAndLeaves(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	first := c.Leader()
	add(t, first.Store, 1)
	n4 := lone(t, c, "n4", func(cfg *raftstore.Config) { cfg.Join = []string{first.Config.Peer} })
	first.Voters("n1", "n2", "n3", "n4")
	found(t, n4.Store, 1)
	lead(t, n4)
	leave(t, n4)
	<-n4.Done()
	if err := n4.Err(); !errors.Is(err, raftstore.ErrLeft) {
		t.Fatalf("after leaving: %v", err)
	}
	first.Voters("n1", "n2", "n3")
	if err := first.AskToLeave(ctxFor(t, 20*time.Second), n4.ID()); err != nil {
		t.Errorf("to leave again, the answer having been lost: %v", err)
	}
	if err := first.AskToLeave(ctxFor(t, 20*time.Second), "n4/another"); !errors.Is(err, raftstore.ErrRefused) {
		t.Errorf("for another to leave: %v", err)
	}
	n4.CheckRemoved() // as it may have begun to while it left
	n4.Stop()
	if _, err := raftstore.Open(n4.Config); !errors.Is(err, raftstore.ErrLeft) {
		t.Fatalf("a node that left started again: %v", err)
	}
	// From an empty directory it may come back.
	if err := os.RemoveAll(n4.Config.Dir); err != nil {
		t.Fatal(err)
	}
	n4.Start()
	first.Voters("n1", "n2", "n3", "n4")
	found(t, n4.Store, 1)
}

func TestRemoveDeadNode(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	add(t, c.Leader().Store, 1)
	dead := c.Followers()[0]
	dead.Stop()
	other := c.Running()[0]
	if err := other.RemoveNode(ctxFor(t, patience), "nobody"); !errors.Is(err, raftstore.ErrRefused) {
		t.Fatalf("removed a node that does not exist: %v", err)
	}
	if err := other.RemoveNode(ctxFor(t, patience), dead.Config.Name); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, n := range c.Running() {
		left = append(left, n.Config.Name)
	}
	other.Voters(left...)
	// It does not know yet when it comes back, and finds out.
	dead.Start()
	<-dead.Done()
	if err := dead.Err(); !errors.Is(err, raftstore.ErrRemoved) {
		t.Fatalf("a removed node says %v", err)
	}
	dead.Stop()
	if _, err := raftstore.Open(dead.Config); !errors.Is(err, raftstore.ErrRemoved) {
		t.Fatalf("a removed node started again: %v", err)
	}
	if err := os.RemoveAll(dead.Config.Dir); err != nil {
		t.Fatal(err)
	}
	dead.Start() // its -cluster flag still stands: it finds the cluster's history, and joins
	other.Voters("n1", "n2", "n3")
	found(t, dead.Store, 1)
}

func TestRemoveRunningNode(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	gone := c.Followers()[0]
	if err := c.Others(gone)[0].RemoveNode(ctxFor(t, patience), gone.Config.Name); err != nil {
		t.Fatal(err)
	}
	<-gone.Done()
	if err := gone.Err(); !errors.Is(err, raftstore.ErrRemoved) {
		t.Fatal(err)
	}
	if err := gone.Have(ctxFor(t, time.Second), id(1)); err == nil {
		t.Fatal("a removed node answered")
	}
	// It may be asked for something before it finds out.
	leader, other := c.Leader(), c.Others(gone)[0]
	if other == leader {
		other = c.Others(gone)[1]
	}
	if err := leader.RemoveAs(ctxFor(t, patience), gone.ID(), other.Config.Name); !errors.Is(err, raftstore.ErrRefused) {
		t.Errorf("a removed node had another one removed: %v", err)
	}
	leader.Voters(leader.Config.Name, other.Config.Name)
}

// A node that lost its disk must not come back as the voter it was: it would have forgotten what it acknowledged.
func TestWipedNodeJoinsAgain(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	for i := range 20 {
		add(t, c.Leader().Store, i)
	}
	wiped := c.Followers()[0]
	wiped.Stop()
	if err := os.RemoveAll(wiped.Config.Dir); err != nil {
		t.Fatal(err)
	}
	others := c.Running()
	others[0].Stop()
	wiped.Start()
	// One of three is left that remembers: no majority may form with the one that forgot.
	if err := wiped.Have(ctxFor(t, 3*time.Second), id(1)); err == nil {
		t.Fatal("a node without its files made a majority")
	}
	if st := wiped.Status(); st.Role != raftstore.RoleJoining {
		t.Fatalf("it is %s", st.Role)
	}
	others[0].Start()
	others[0].Voters("n1", "n2", "n3")
	for i := range 20 {
		found(t, wiped.Store, i)
	}
}

func TestNewAddress(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	add(t, c.Leader().Store, 1)
	moved := c.Followers()[0]
	moved.Stop()
	moved.Config.Cluster = nil
	moved.Config.Peer = testcluster.FreeAddress(t)
	moved.Start()
	testcluster.Eventually(t, func() error {
		ms, err := c.Leader().Members(ctxFor(t, 5*time.Second))
		if err != nil {
			return err
		}
		for _, m := range ms {
			if m.Name == moved.Config.Name && m.Address == moved.Config.Peer && m.Role == raftstore.RoleFollower {
				return nil
			}
		}
		return errors.New("the leader has not heard of the new address")
	})
	found(t, moved.Store, 1)
	c.Agree()
}

func TestLoneNodeGetsAPeerPort(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	n1 := c.Add("n1", func(*raftstore.Config) {})
	n1.Start()
	add(t, n1.Store, 1)
	n1.Stop()
	n1.Config.Peer = testcluster.FreeAddress(t)
	n1.Start()
	n2 := lone(t, c, "n2", func(cfg *raftstore.Config) { cfg.Join = []string{n1.Config.Peer} })
	n1.Voters("n1", "n2")
	found(t, n2.Store, 1)
}

func TestLeaveBeforeJoining(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	n := lone(t, c, "n1", func(cfg *raftstore.Config) { cfg.Join = []string{testcluster.FreeAddress(t)} })
	err := n.Leave(ctxFor(t, 5*time.Second))
	if !errors.Is(err, raftstore.ErrRefused) || !strings.Contains(err.Error(), "not a member of a cluster yet") {
		t.Errorf("got %v", err)
	}
}

func TestMemberNeedsItsPeerPort(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	n := c.Followers()[0]
	n.Stop()
	cfg := n.Config
	cfg.Cluster, cfg.Peer = nil, ""
	_, err := raftstore.Open(cfg)
	var bad *raftstore.ConfigError
	if !errors.As(err, &bad) || bad.Setting != "Peer" || !strings.Contains(err.Error(), "n1, n2, n3") {
		t.Fatalf("a member without a peer port: %v", err)
	}
	n.Start() // nothing of the attempt is left
	c.Agree()
}

// A cluster calls a node by an address that is another cluster's now. That one must not notice.
func TestAddressOfAnotherCluster(t *testing.T) {
	t.Parallel()
	a := testcluster.Start(t, 3)
	add(t, a.Leader().Store, 1)
	gone := a.Followers()[0]
	gone.Stop()

	b := testcluster.New(t)
	b1 := lone(t, b, "b1", func(cfg *raftstore.Config) { cfg.Peer = gone.Config.Peer })
	b2 := lone(t, b, "b2", func(cfg *raftstore.Config) { cfg.Join = []string{b1.Config.Peer} })
	b1.Voters("b1", "b2")
	for i := range 5 {
		add(t, b1.Store, 100+i)
	}
	// The first cluster has elections, so that its term is the higher one, and calls.
	for range 3 {
		l := a.Leader()
		testcluster.Eventually(t, func() error { return l.Transfer(ctxFor(t, patience), "") })
		add(t, a.Leader().Store, int(time.Now().UnixNano()))
	}
	for i := range 5 {
		found(t, b2.Store, 100+i)
	}
	missing(t, b1.Store, 1)
	b1.Voters("b1", "b2")
}

// A node that waits to be taken in asks nobody for a change, and says in one line what it waits for.
func TestChangesBeforeJoining(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	n := lone(t, c, "n1", func(cfg *raftstore.Config) {
		cfg.Join = []string{testcluster.FreeAddress(t), testcluster.FreeAddress(t)}
	})
	for name, change := range map[string]func(context.Context) error{
		"remove":   func(ctx context.Context) error { return n.RemoveNode(ctx, "n2") },
		"transfer": func(ctx context.Context) error { return n.Transfer(ctx, "") },
		"leave":    n.Leave,
	} {
		if err := change(ctxFor(t, time.Minute)); !errors.Is(err, raftstore.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	testcluster.Eventually(t, func() error {
		if reason := n.Status().Reason; strings.Count(reason, "; ") != 1 || strings.Contains(reason, "\n") {
			return errors.New("the reason is " + reason)
		}
		return nil
	})
}

// Without a leader a change is given up long before its caller would.
func TestChangesWithoutALeader(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3, func(cfg *raftstore.Config) { cfg.Heartbeat = 100 * time.Millisecond })
	left := c.Leader()
	for _, n := range c.Others(left) {
		n.Stop()
	}
	testcluster.Eventually(t, func() error {
		if role := left.Status().Role; role == raftstore.RoleLeader {
			return errors.New("it still leads")
		}
		return nil
	})
	for name, change := range map[string]func(context.Context) error{
		"remove":   func(ctx context.Context) error { return left.RemoveNode(ctx, "nobody") },
		"transfer": func(ctx context.Context) error { return left.Transfer(ctx, "") },
		"leave":    left.Leave,
	} {
		ctx := ctxFor(t, 2*time.Minute)
		if err := change(ctx); !errors.Is(err, raftstore.ErrNoLeader) || ctx.Err() != nil {
			t.Errorf("%s: %v; its time was up: %v", name, err, ctx.Err())
		}
	}
}
