package raftstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// What a read sees is for the node to say that was asked. One that is set to linearizable reads gives no others behind
// a leader that is set to save the round, when both are cut off, a new leader has been elected, and the old one has not
// noticed.
func TestLinearizableBehindAnotherMode(t *testing.T) {
	t.Parallel()
	l := newLinks()
	c := testcluster.Start(t, 5, l.through, func(cfg *raftstore.Config) {
		cfg.Heartbeat = 3 * time.Second // the old leader has as long to notice
		if cfg.Name != "n2" {
			cfg.Reads = raftstore.ReadLeader
		}
	})
	old, asked := c.Nodes["n1"], c.Nodes["n2"]
	rest := []*testcluster.Node{c.Nodes["n3"], c.Nodes["n4"], c.Nodes["n5"]}
	lead(t, old)
	add(t, old.Store, 1)
	c.Agree()
	found(t, asked.Store, 1)

	cut := map[string]bool{"n1": true, "n2": true}
	l.sever(func(from, to string, _ byte) bool { return cut[from] != cut[to] })
	testcluster.Eventually(t, func() error { return leads(rest...) })
	testcluster.Eventually(t, func() error {
		if err := rest[0].Remove(ctxFor(t, time.Second), id(1)); err != wire.NotOK { // it is gone, by this or an attempt before
			return errors.Join(errors.New("not removed yet"), err)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := asked.Have(ctx, id(1)); err != wire.Disconnected {
		t.Errorf("a session that was removed, asked of a node that is cut off: %v", err)
	}
	t.Logf("the old leader is %s now", old.Status().Role)

	l.sever(uncut)
	testcluster.Eventually(t, func() error {
		if err := asked.Have(ctxFor(t, patience), id(1)); err != wire.NotOK {
			return errors.Join(errors.New("after that"), err)
		}
		return nil
	})
}
