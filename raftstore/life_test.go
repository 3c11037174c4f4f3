package raftstore_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/internal/testlog"
	"github.com/distcache/distcache/raftstore"
)

// wipe empties a stopped node's directory, and has it join through another.
func wipe(t *testing.T, n, through *testcluster.Node) {
	t.Helper()
	if err := os.RemoveAll(n.Config.Dir); err != nil {
		t.Fatal(err)
	}
	n.Config.Cluster, n.Config.Join = nil, []string{through.Config.Peer}
}

// A node that was wiped is taken in again, and has nothing of the log yet. It is another server than the voter of its
// name, and has no vote to give to one that was removed.
func TestWipedNodeHasNoVoteOfTheOldOne(t *testing.T) {
	t.Parallel()
	l := newLinks()
	said := new(testlog.Buffer)
	c := testcluster.Start(t, 3, l.through, func(cfg *raftstore.Config) {
		cfg.Heartbeat = 200 * time.Millisecond
		if cfg.Name == "n1" {
			cfg.Logger = slog.New(slog.NewTextHandler(said, nil))
		}
	})
	n1, n2, n3 := c.Nodes["n1"], c.Nodes["n2"], c.Nodes["n3"]
	lead(t, n3)
	n1.Stop()
	if err := n3.RemoveNode(ctxFor(t, patience), "n1"); err != nil {
		t.Fatal(err)
	}
	n4 := lone(t, c, "n4", l.through, func(cfg *raftstore.Config) { cfg.Join = []string{n3.Config.Peer} })
	n3.Voters("n2", "n3", "n4")
	n2.Stop()
	wipe(t, n2, n3)
	l.sever(func(_, to string, kind byte) bool { return kind == linkRaft && to == "n2" })
	n2.Start()
	testcluster.Eventually(t, func() error {
		ms, err := n3.Members(ctxFor(t, 5*time.Second))
		for _, m := range ms {
			if m.Name == "n2" && !m.Voter && m.Role == raftstore.RoleJoining {
				return nil
			}
		}
		return fmt.Errorf("n2 is not a nonvoter: %v, %v", ms, err)
	})
	if st := n2.Status(); st.Role != raftstore.RoleJoining || st.Voter {
		t.Errorf("the wiped node says that it is a %s, voter %v", st.Role, st.Voter)
	}
	for i := range 20 {
		add(t, n3.Store, i)
	}
	c.Nodes["n4"].Stop()
	n3.Stop()
	l.sever(uncut)
	n1.Start()
	testcluster.Eventually(t, func() error {
		if n := strings.Count(said.String(), "entering candidate state"); n < 5 {
			return fmt.Errorf("the removed server has stood for election %d times", n)
		}
		return nil
	})
	for _, n := range []*testcluster.Node{n1, n2} {
		if st := n.Status(); st.Role == raftstore.RoleLeader || st.Leader != "" {
			t.Fatalf("%s is a %s and follows %q: a server that was removed was elected", n.Config.Name, st.Role, st.Leader)
		}
	}
	n3.Start()
	n4.Start()
	for i := range 20 {
		found(t, n3.Store, i)
	}
	n3.Voters("n2", "n3", "n4")
	for i := range 20 {
		found(t, n2.Store, i)
	}
	<-n1.Done()
	if err := n1.Err(); !errors.Is(err, raftstore.ErrRemoved) {
		t.Errorf("the removed server says %v", err)
	}
}

// A node that was wiped is joining, in its own eyes too, until it votes.
func TestWipedNodeIsJoiningUntilItVotes(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	leader, wiped := c.Leader(), c.Followers()[0]
	bulk(t, leader, 1<<20)
	wiped.Stop()
	wipe(t, wiped, leader)
	hold := wiped.Hold(100_000)
	wiped.Start()
	<-hold.Reached()
	for _, n := range []*testcluster.Node{leader, wiped} {
		testcluster.Eventually(t, func() error {
			ms, err := n.Members(ctxFor(t, 5*time.Second))
			if n == wiped && len(ms) == 0 {
				return err // its log has nobody yet
			}
			for _, m := range ms {
				if m.Name == wiped.Config.Name && !m.Voter && m.Role == raftstore.RoleJoining {
					return err
				}
			}
			return fmt.Errorf("%s sees %v, %v", n.Config.Name, ms, err)
		})
	}
	if st := wiped.Status(); st.Role != raftstore.RoleJoining || st.Voter {
		t.Errorf("it says that it is a %s, voter %v", st.Role, st.Voter)
	}
	hold.Release()
	leader.Voters("n1", "n2", "n3")
	testcluster.Eventually(t, func() error {
		if st := wiped.Status(); st.Role != raftstore.RoleFollower || !st.Voter {
			return fmt.Errorf("it is a %s, voter %v", st.Role, st.Voter)
		}
		return nil
	})
}

// A directory that was restored from an older copy has forgotten entries that its server acknowledged, and perhaps
// votes. It counts as lost.
func TestRestoredFromAnOlderCopy(t *testing.T) {
	t.Parallel()
	for _, kind := range []raftstore.LogKind{raftstore.LogBolt, raftstore.LogWAL} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			said := new(testlog.Buffer)
			c := testcluster.Start(t, 3, func(cfg *raftstore.Config) {
				cfg.RaftLog, cfg.Heartbeat = kind, 20*time.Second // whoever is elected meanwhile does not know what was acknowledged
				cfg.Logger = slog.New(slog.NewTextHandler(said, nil))
			})
			leader, restored := c.Leader(), c.Followers()[0]
			add(t, leader.Store, 1)
			c.Agree()
			restored.Stop()
			older := t.TempDir()
			if err := os.CopyFS(older, os.DirFS(restored.Config.Dir)); err != nil {
				t.Fatal(err)
			}
			restored.Start()
			for i := range 10 {
				add(t, leader.Store, 2+i)
			}
			c.Agree()
			restored.Stop()
			if err := errors.Join(os.RemoveAll(restored.Config.Dir), os.CopyFS(restored.Config.Dir, os.DirFS(older))); err != nil {
				t.Fatal(err)
			}
			restored.Start()
			<-restored.Done()
			if err := restored.Err(); !errors.Is(err, raftstore.ErrRemoved) || !strings.Contains(err.Error(), "restored from an older copy") {
				t.Errorf("the node says %v", err)
			}
			if leads(leader) == nil && !strings.Contains(said.String(), "a member has forgotten what it had acknowledged") {
				t.Error("the leader says nothing of it")
			}
			restored.Stop()
			wipe(t, restored, leader)
			restored.Start()
			c.Leader().Voters("n1", "n2", "n3")
			for i := range 11 {
				found(t, restored.Store, 1+i)
			}
		})
	}
}

// A node that was taken in again has its cluster's log, and is no voter yet: it is joining, not a follower, and not
// ready.
func TestNonvoterIsJoining(t *testing.T) {
	t.Parallel()
	l := newLinks()
	c := testcluster.Start(t, 3, l.through)
	leader, wiped := c.Leader(), c.Followers()[0]
	add(t, leader.Store, 1)
	wiped.Stop()
	wipe(t, wiped, leader)
	wiped.Start()
	testcluster.Eventually(t, func() error {
		if ms, err := leader.Members(ctxFor(t, 5*time.Second)); err != nil || !nonvoter(ms, wiped.Config.Name) {
			return fmt.Errorf("it is no nonvoter: %v, %v", ms, err)
		}
		return nil
	})
	// A leader that can't greet it does not make it a voter.
	l.sever(func(from, to string, kind byte) bool {
		return kind == linkPeer && from == leader.Config.Name && to == wiped.Config.Name
	})
	testcluster.Eventually(t, func() error {
		ms, err := wiped.Members(ctxFor(t, 5*time.Second))
		if err == nil && !nonvoter(ms, wiped.Config.Name) && wiped.Status().Voter {
			t.Skip("it was made a voter before it could be kept from that")
		}
		if err != nil || !nonvoter(ms, wiped.Config.Name) {
			return fmt.Errorf("it does not know itself as a nonvoter: %v, %v", ms, err)
		}
		return nil
	})
	if st := wiped.Status(); st.Role != raftstore.RoleJoining {
		t.Errorf("it says that it is a %s", st.Role)
	}
	l.sever(uncut)
	leader.Voters("n1", "n2", "n3")
}

func nonvoter(ms []raftstore.Member, name string) bool {
	for _, m := range ms {
		if m.Name == name {
			return !m.Voter
		}
	}
	return false
}
