package raftstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// patience is how long a request may take that must come to an answer.
const patience = time.Minute

func ctxFor(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func id(i int) []byte { return []byte(fmt.Sprintf("session-%06d", i)) }

func data(i int) []byte { return []byte(fmt.Sprintf("data of %d", i)) }

// add stores session i through s, which must work.
func add(t testing.TB, s *raftstore.Store, i int) {
	t.Helper()
	if err := s.Add(ctxFor(t, patience), id(i), data(i), time.Hour); err != nil {
		t.Fatalf("add %d: %v", i, err)
	}
}

// found makes sure that session i is there, whole.
func found(t testing.TB, s *raftstore.Store, i int) {
	t.Helper()
	got, err := s.Get(ctxFor(t, patience), id(i))
	if err != nil || string(got) != string(data(i)) {
		t.Fatalf("get %d: %d bytes, %v", i, len(got), err)
	}
}

func missing(t testing.TB, s *raftstore.Store, i int) {
	t.Helper()
	if _, err := s.Get(ctxFor(t, patience), id(i)); err != wire.NotOK {
		t.Fatalf("get %d: %v, want NotOK", i, err)
	}
}

func TestSingleNode(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	n := c.Add("one", func(*raftstore.Config) {})
	n.Start()
	add(t, n.Store, 1)
	add(t, n.Store, 2)
	found(t, n.Store, 1)
	if err := n.Add(ctxFor(t, patience), id(1), []byte("other"), time.Hour); !errors.Is(err, wire.MatchingSession) {
		t.Fatalf("second add: %v", err)
	}
	if err := n.Remove(ctxFor(t, patience), id(2)); err != nil {
		t.Fatal(err)
	}
	if err := n.Remove(ctxFor(t, patience), id(2)); err != wire.NotOK {
		t.Fatal(err)
	}
	n.Stop()
	n.Start()
	found(t, n.Store, 1)
	missing(t, n.Store, 2)
	if err := n.Have(ctxFor(t, patience), id(1)); err != nil {
		t.Fatal(err)
	}
}

func TestStaticCluster(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	i := 0
	for _, n := range c.Running() {
		for range 5 {
			add(t, n.Store, i)
			for _, m := range c.Running() {
				found(t, m.Store, i)
			}
			i++
		}
	}
	c.Agree()
	for _, n := range c.Running() {
		n.Stop()
	}
	for _, n := range c.Nodes {
		n.Start()
	}
	c.Leader()
	for j := range i {
		found(t, c.Followers()[0].Store, j)
	}
}

func TestGrowByJoin(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	a1 := testcluster.FreeAddress(t)
	n1 := c.Add("n1", func(cfg *raftstore.Config) { cfg.Peer = a1 })
	n1.Start()
	for i := range 100 {
		add(t, n1.Store, i)
	}
	for _, name := range []string{"n2", "n3"} {
		n := c.Add(name, func(cfg *raftstore.Config) {
			cfg.Peer, cfg.Join = testcluster.FreeAddress(t), []string{a1}
		})
		n.Start()
	}
	n1.Voters("n1", "n2", "n3")
	c.Agree()
	leader := c.Leader()
	leader.Stop()
	c.Leader()
	for i := range 100 {
		found(t, c.Running()[i%2].Store, i)
	}
}
