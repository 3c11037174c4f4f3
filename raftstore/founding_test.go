package raftstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// listed makes n nodes of one -cluster list without starting them.
func listed(t *testing.T, n int) (c *testcluster.Cluster, nodes []*testcluster.Node) {
	t.Helper()
	c = testcluster.New(t)
	var list []raftstore.Node
	for i := range n {
		list = append(list, raftstore.Node{Name: fmt.Sprintf("n%d", i+1), Address: testcluster.FreeAddress(t)})
	}
	for _, m := range list {
		nodes = append(nodes, c.Add(m.Name, func(cfg *raftstore.Config) {
			cfg.Peer, cfg.Cluster, cfg.Heartbeat = m.Address, list, 200*time.Millisecond
		}))
	}
	return c, nodes
}

// promised has a new node promise itself to a founder.
func promised(t *testing.T, n *testcluster.Node, founder string) {
	t.Helper()
	if ok, err := n.Promise(founder); err != nil || !ok {
		t.Fatalf("the promise of %s to %s: %v, %v", n.Config.Name, founder, ok, err)
	}
}

// A majority of the list founds the cluster, and the others join it when they come.
func TestMajorityFounds(t *testing.T) {
	t.Parallel()
	c, nodes := listed(t, 3)
	nodes[1].Start()
	nodes[2].Start()
	c.Leader().Voters("n2", "n3")
	add(t, nodes[1].Store, 1)
	nodes[0].Start()
	c.Leader().Voters("n1", "n2", "n3")
	found(t, nodes[0].Store, 1)
}

// A node keeps its promise while its founder is up, and gives it to one only; started again, it still does. When the
// founder is gone for good it founds the cluster with others, as another server.
func TestFounderIsGone(t *testing.T) {
	t.Parallel()
	c, nodes := listed(t, 3)
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]
	n2.Start()
	was := n2.ID()
	promised(t, n2, "n1/0badf00d")
	promised(t, n2, "n1/0badf00d")
	if ok, err := n2.Promise("n3/0badf00d"); ok || err != nil {
		t.Fatalf("it promised itself to another: %v, %v", ok, err)
	}
	n2.Stop()
	n2.Start()
	if n2.ID() != was {
		t.Fatalf("a node that has promised itself was %s and is %s", was, n2.ID())
	}
	n3.Start()
	c.Leader().Voters("n2", "n3")
	if n2.ID() == was {
		t.Error("it founds with another node under the ID that it had promised")
	}
	n1.Start()
	c.Leader().Voters("n1", "n2", "n3")
	for i, n := range nodes {
		add(t, n.Store, i)
	}
	c.Agree()
}

// The founder has written the cluster's first entry and stopped before anybody had it. The others go on without it, and
// it joins them.
func TestFounderComesTooLate(t *testing.T) {
	t.Parallel()
	c, nodes := listed(t, 3)
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]
	n1.Start()
	if err := n1.Found("n2/0badf00d"); err != nil {
		t.Fatal(err)
	}
	was := n1.ID()
	n1.Stop()
	n2.Start()
	n3.Start()
	c.Leader().Voters("n2", "n3")
	add(t, n2.Store, 1)
	n1.Start()
	c.Leader().Voters("n1", "n2", "n3")
	if n1.ID() == was {
		t.Error("it is still the server that founded another cluster")
	}
	found(t, n1.Store, 1)
}

// The founder has written the first entry, and too few of the voters in it are left. It founds the cluster anew.
func TestFoundingIsHopeless(t *testing.T) {
	t.Parallel()
	c, nodes := listed(t, 3)
	nodes[0].Start()
	if err := nodes[0].Found("n2/0badf00d"); err != nil {
		t.Fatal(err)
	}
	nodes[0].Stop()
	nodes[0].Start()
	nodes[1].Start()
	nodes[2].Start()
	c.Leader().Voters("n1", "n2", "n3")
	for i, n := range nodes {
		add(t, n.Store, i)
	}
	c.Agree()
}

// What a node has promised is not forgotten with its log, nor before it has one.
func TestPromiseWithoutALog(t *testing.T) {
	t.Parallel()
	_, nodes := listed(t, 3)
	n := nodes[1]
	n.Start()
	promised(t, n, "n1/0badf00d")
	n.Stop()
	if err := os.Remove(filepath.Join(n.Config.Dir, "raft.db")); err != nil {
		t.Fatal(err)
	}
	if _, err := raftstore.Open(n.Config); !errors.Is(err, raftstore.ErrForeign) {
		t.Errorf("opened with %v", err)
	}
}

// Two that join each other both stay what they were, or one joins the other: neither gives up its state for nothing.
func TestMutualJoin(t *testing.T) {
	t.Parallel()
	for i := range 5 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			c := testcluster.New(t)
			n1, n2 := lone(t, c, "n1"), lone(t, c, "n2")
			testcluster.Eventually(t, func() error { return errors.Join(leads(n1), leads(n2)) })
			done := make(chan error, 2)
			join := func(a, b *testcluster.Node) {
				done <- a.Join(ctxFor(t, patience), []string{b.Config.Peer}, true)
			}
			go join(n1, n2)
			go join(n2, n1)
			joined := 0
			for range 2 {
				if err := <-done; err == nil {
					joined++
				} else if !errors.Is(err, raftstore.ErrRefused) {
					t.Errorf("join: %v", err)
				}
			}
			if joined > 1 {
				t.Error("both have joined the other")
			}
			add(t, n1.Store, 1)
			add(t, n2.Store, 2)
			if joined == 1 {
				n1.Voters("n1", "n2")
			}
		})
	}
}

// A node that is told to join another is joined at the same time. Nobody is left without a cluster.
func TestJoinedWhileJoining(t *testing.T) {
	t.Parallel()
	for i := range 5 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			c := testcluster.New(t)
			n1, n2, n3 := lone(t, c, "n1"), lone(t, c, "n2"), lone(t, c, "n3")
			testcluster.Eventually(t, func() error { return errors.Join(leads(n1), leads(n2), leads(n3)) })
			done := make(chan error, 2)
			go func() { done <- n1.Join(ctxFor(t, patience), []string{n2.Config.Peer}, true) }()
			go func() { done <- n3.Join(ctxFor(t, patience), []string{n1.Config.Peer}, true) }()
			for range 2 {
				if err := <-done; err != nil && !errors.Is(err, raftstore.ErrRefused) && !errors.Is(err, raftstore.ErrNoLeader) {
					t.Errorf("join: %v", err)
				}
			}
			for i, n := range []*testcluster.Node{n1, n2, n3} {
				add(t, n.Store, i)
			}
		})
	}
}

// Members have exchanged addresses since the -cluster list was written. A node that lost its disk finds them with that
// list.
func TestWipedNodeHasAnOldList(t *testing.T) {
	t.Parallel()
	c, nodes := listed(t, 3)
	for _, n := range nodes {
		n.Start()
	}
	c.Leader().Voters("n1", "n2", "n3")
	add(t, nodes[0].Store, 1)
	a, b, wiped := nodes[0], nodes[1], nodes[2]
	for _, n := range nodes {
		n.Stop()
	}
	list := wiped.Config.Cluster
	exchange(a, b)
	a.Start()
	b.Start()
	at(t, c)
	wipe(t, wiped, a)
	wiped.Config.Join, wiped.Config.Cluster = nil, list
	wiped.Start()
	c.Leader().Voters("n1", "n2", "n3")
	found(t, wiped.Store, 1)
}
