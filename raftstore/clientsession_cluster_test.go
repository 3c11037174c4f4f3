package raftstore_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// forgotten is longer than client sessions are remembered.
const forgotten = 11 * time.Minute

// A request of a node that is suspended for so long that its client session is forgotten, and asks again then, is not
// carried out a second time. What is asked after that is.
func TestSuspendedNodeAsksNotTwice(t *testing.T) {
	t.Parallel()
	leader, others := quiet(t, func(cfg *raftstore.Config) { cfg.DiskTimeout = 2 * patience })
	node := others[0]
	add(t, node.Store, 1) // which opens its client session

	release := make(chan struct{})
	disk := leader.OnDisk(func() error {
		<-release
		return nil
	})
	added := make(chan error, 1)
	go func() { added <- node.Add(ctxFor(t, patience), id(2), data(2), time.Hour) }()
	<-disk.Reached()
	node.Suspend()
	close(release)
	testcluster.Eventually(t, func() error { return leader.Have(ctxFor(t, patience), id(2)) })
	if err := leader.Remove(ctxFor(t, patience), id(2)); err != nil {
		t.Fatal(err)
	}
	raftstore.PassTime(t, leader.Store, forgotten)
	node.Resume()
	if err := <-added; err != wire.Disconnected {
		t.Errorf("asked again after long: %v", err)
	}
	missing(t, leader.Store, 2)
	add(t, node.Store, 3)
	missing(t, node.Store, 2)
}

// Nodes that were idle for longer than their client sessions are remembered serve the next writes, the leader too.
func TestIdleForLong(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	leader := c.Leader()
	for i, n := range c.Running() {
		add(t, n.Store, i)
	}
	raftstore.PassTime(t, leader.Store, forgotten)
	const each = 20
	var wg sync.WaitGroup
	errs := make(chan error, 3*each)
	for i, n := range c.Running() {
		for j := range each {
			wg.Go(func() {
				k := 100*(i+1) + j
				if err := n.Add(ctxFor(t, patience), id(k), data(k), time.Hour); err != nil {
					errs <- fmt.Errorf("add on %s: %w", n.Config.Name, err)
				}
			})
		}
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}
