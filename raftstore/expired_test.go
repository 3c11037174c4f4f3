package raftstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// What has expired is returned by no node while the leader's disk hangs, so that no entry can say that it has.
func TestExpiredWhileTheDiskHangs(t *testing.T) {
	t.Parallel()
	for _, mode := range []raftstore.ReadMode{raftstore.ReadLinearizable, raftstore.ReadLeader, raftstore.ReadLocal} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			leader, others := quiet(t, func(cfg *raftstore.Config) { cfg.DiskTimeout, cfg.Reads = 2*patience, mode })
			all := append(others, leader)
			for i, n := range all { // which opens client sessions
				add(t, n.Store, 100+i)
			}
			if err := leader.Add(ctxFor(t, patience), id(1), data(1), 2*time.Second); err != nil {
				t.Fatal(err)
			}
			add(t, leader.Store, 2)
			for _, n := range all {
				testcluster.Eventually(t, func() error { return n.Have(ctxFor(t, patience), id(2)) })
			}
			release := make(chan struct{})
			defer close(release)
			disk := leader.OnDisk(func() error {
				<-release
				return nil
			})
			ctx := ctxFor(t, patience)
			go func() { _ = leader.Add(ctx, id(3), data(3), time.Hour) }()
			<-disk.Reached()
			for _, n := range all {
				testcluster.Eventually(t, func() error {
					if _, err := n.Get(ctx, id(1)); err != wire.NotOK {
						return fmt.Errorf("%s still has it: %v", n.Config.Name, err)
					}
					return nil
				})
				if err := n.Have(ctx, id(1)); err != wire.NotOK {
					t.Errorf("%s still has it: %v", n.Config.Name, err)
				}
				found(t, n.Store, 2)
			}
			select {
			case <-leader.Done():
				t.Errorf("the leader has ended: %v", leader.Err())
			default:
			}
		})
	}
}
