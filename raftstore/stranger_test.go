package raftstore_test

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/internal/testlog"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// estranged starts a node again with an empty directory and without its cluster: it is of another one then, at the same
// address and under the same name.
func estranged(n *testcluster.Node, change ...func(*raftstore.Config)) {
	n.Stop()
	if err := os.RemoveAll(n.Config.Dir); err != nil {
		panic(err)
	}
	n.Config.Cluster, n.Config.Join = nil, nil
	for _, f := range change {
		f(&n.Config)
	}
	n.Start()
}

// A node without a leader asks the others whether it is still a member. What the leader of another cluster thinks of
// that counts for nothing, although a member was at its address before.
func TestAnotherClusterDoesNotRemoveMembers(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	nodes := c.Running()
	lost, other, last := nodes[0], nodes[1], nodes[2]
	add(t, last.Store, 1)
	c.Agree()
	was := lost.ID()
	other.Stop()
	said := new(testlog.Buffer)
	estranged(lost, func(cfg *raftstore.Config) { cfg.Logger = slog.New(slog.NewTextHandler(said, nil)) })
	if lost.ID() == was {
		t.Fatal("the new server has the old one's ID")
	}
	testcluster.Eventually(t, func() error {
		if err := last.Err(); err != nil {
			return nil // as if it had been removed
		}
		if !strings.Contains(said.String(), "for another node was turned away") {
			return errors.New("nobody has asked yet")
		}
		return nil
	})
	if err := last.Err(); err != nil {
		t.Fatalf("on another cluster's word: %v", err)
	}
	other.Start()
	found(t, last.Store, 1)
}

// A node may take another cluster's leader for its own, for as long as it has not heard otherwise.
func TestAnotherClustersLeaderAnswersNothing(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	ours, theirs := lone(t, c, "n1"), lone(t, c, "n2")
	for _, n := range []*testcluster.Node{ours, theirs} {
		testcluster.Eventually(t, func() error { return leads(n) })
	}
	add(t, theirs.Store, 1)
	ctx, there := ctxFor(t, patience), theirs.Config.Peer
	if err := ours.AddThere(ctx, there, id(2), data(2)); !errors.Is(err, raftstore.ErrRetry) {
		t.Errorf("add: %v", err)
	}
	missing(t, theirs.Store, 2)
	if _, err := ours.GetThere(ctx, there, id(1)); !errors.Is(err, raftstore.ErrRetry) {
		t.Errorf("get: %v", err)
	}
	if _, err := ours.IndexThere(ctx, there); !errors.Is(err, raftstore.ErrRetry) {
		t.Errorf("read index: %v", err)
	}
	if _, err := theirs.GetThere(ctx, there, id(1)); err != nil { // its own leader, over the same way
		t.Errorf("get of its own: %v", err)
	}
}

// A voter that lost its files, and was started without its cluster, is another node, whatever its name and term: a
// leader that was deposed by the vote of the old one may not take the new one's word for it that nobody was elected.
func TestAnotherNodeInAVotersPlace(t *testing.T) {
	t.Parallel()
	c, l := testcluster.New(t), newLinks()
	slow := func(cfg *raftstore.Config) { cfg.Heartbeat = time.Minute } // nothing happens by itself
	old := lone(t, c, "n1", l.through, slow)
	join := func(cfg *raftstore.Config) { cfg.Join = []string{old.Config.Peer} }
	next, voter := lone(t, c, "n2", l.through, slow, join), lone(t, c, "n3", l.through, slow, join)
	old.Voters("n1", "n2", "n3")
	add(t, old.Store, 1)
	c.Agree()
	l.depose("n1")
	testcluster.Eventually(t, func() error { return leads(next) })
	if err := next.Remove(ctxFor(t, patience), id(1)); err != nil {
		t.Fatal(err)
	}
	estranged(voter)
	testcluster.Eventually(t, func() error { return leads(voter) })
	if was, is := old.Status(), voter.Status(); was.Role != raftstore.RoleLeader || was.Term != is.Term {
		t.Fatalf("n1 is a %s of term %d, the new n3 has come to term %d: nobody is put to the test", was.Role, was.Term, is.Term)
	}
	if err := old.Have(ctxFor(t, time.Second), id(1)); err != wire.Disconnected {
		t.Errorf("a session that was removed: %v", err)
	}
}
