package raftstore_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// quiet starts a cluster whose leader writes nothing by itself any more, and gives its nodes, that one first.
func quiet(t *testing.T, opts ...func(*raftstore.Config)) (leader *testcluster.Node, others []*testcluster.Node) {
	t.Helper()
	c := testcluster.Start(t, 3, append(opts, raftstore.WatchDisk)...)
	c.Agree()
	return c.Leader(), c.Followers()
}

// A leader whose disk fails, or hangs, is replaced before it is closed, and lets nobody wait.
func TestLeaderGivesUpWithItsDisk(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]bool{"an error": true, "hung": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leader, others := quiet(t, func(cfg *raftstore.Config) { cfg.DiskTimeout = 5 * time.Second })
			release := make(chan struct{})
			disk := leader.OnDisk(func() error {
				if broken {
					return syscall.EIO
				}
				<-release
				return nil
			})
			defer leader.Stop() // which says that the disk has failed
			defer close(release)
			ctx := ctxFor(t, patience)
			added := make(chan error, 1)
			go func() { added <- leader.Add(ctx, id(1), data(1), time.Hour) }()
			<-disk.Reached()
			if err := <-added; err != wire.Disconnected || ctx.Err() != nil {
				t.Errorf("add: %v; its context: %v", err, ctx.Err())
			}
			if err := leader.Have(ctx, id(1)); err != wire.Disconnected || ctx.Err() != nil {
				t.Errorf("have: %v; its context: %v", err, ctx.Err())
			}
			if err := leader.Err(); !errors.Is(err, raftstore.ErrDisk) || broken && !errors.Is(err, syscall.EIO) {
				t.Errorf("it ended with %v", err)
			}
			testcluster.Eventually(t, func() error {
				for _, n := range others {
					if n.Status().Role == raftstore.RoleLeader {
						return nil
					}
				}
				return errors.New("nobody else leads")
			})
			add(t, others[0].Store, 2)
		})
	}
}

// A node that leads, and has noted another term in which it did, comes to serve all the same.
func TestLeadsInANewerTerm(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	n := c.Add("n1", func(*raftstore.Config) {})
	n.Start()
	add(t, n.Store, 1)
	n.Serving(1) // as who was about to note it long ago may do now
	if n.Leads() {
		t.Fatal("it has not been overtaken")
	}
	add(t, n.Store, 2)
}
