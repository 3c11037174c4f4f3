package raftstore_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// A follower's connections to the leader are refused, as by a firewall, while the leader reaches that follower and the
// other one. That is no proof that the leader's process is gone: nobody is elected, and all writes are taken.
func TestRefusedConnectionsAreNoDeath(t *testing.T) {
	t.Parallel()
	l := newLinks()
	c := testcluster.Start(t, 3, l.through, func(cfg *raftstore.Config) { cfg.Heartbeat = 300 * time.Millisecond })
	leader := c.Leader()
	cut, other := c.Others(leader)[0], c.Others(leader)[1]
	add(t, leader.Store, 0)
	before := leader.Status()
	var refused atomic.Int32
	l.sever(func(from, to string, _ byte) bool {
		if from != cut.Config.Name || to != leader.Config.Name {
			return false
		}
		refused.Add(1)
		return true
	})
	i := 0
	testcluster.Eventually(t, func() error {
		i++
		add(t, leader.Store, 2*i)
		add(t, other.Store, 2*i+1)
		if n := refused.Load(); n < 12 {
			return fmt.Errorf("%d connections were refused", n)
		}
		return nil
	})
	if now := leader.Status(); now.Role != raftstore.RoleLeader || now.Term != before.Term {
		t.Errorf("%s led term %d, and is a %s of term %d", leader.Config.Name, before.Term, now.Role, now.Term)
	}
	l.sever(uncut)
	found(t, cut.Store, 2*i)
}
