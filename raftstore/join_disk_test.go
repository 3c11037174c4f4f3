package raftstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// A node that can't note that it was admitted, or that it gives up what it has, ends: its disk has failed.
func TestJoinOnAFailingDisk(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	first := testcluster.FreeAddress(t)
	start := func(name, peer string, join ...string) *testcluster.Node {
		n := c.Add(name, func(cfg *raftstore.Config) { cfg.Peer, cfg.Join = peer, join })
		n.Start()
		return n
	}
	unsaved := func(n *testcluster.Node) { // has all further writes of node.json fail
		if err := os.Mkdir(filepath.Join(n.Config.Dir, "node.json.new"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ended := func(n *testcluster.Node) {
		t.Helper()
		select {
		case <-n.Done():
		case <-ctxFor(t, patience).Done():
			t.Fatalf("%s goes on: %+v", n.Config.Name, n.Status())
		}
		if err := n.Err(); !errors.Is(err, raftstore.ErrDisk) {
			t.Errorf("%s ended with %v", n.Config.Name, err)
		}
	}
	joins := start("n2", testcluster.FreeAddress(t), first) // as soon as the other is there
	unsaved(joins)
	alone := start("n3", testcluster.FreeAddress(t))
	add(t, alone.Store, 1) // it has noted that it is a member
	unsaved(alone)
	start("n1", first)
	if err := alone.Join(ctxFor(t, patience), []string{first}, true); !errors.Is(err, raftstore.ErrDisk) {
		t.Errorf("n3 joins: %v", err)
	}
	ended(alone)
	ended(joins)
}
