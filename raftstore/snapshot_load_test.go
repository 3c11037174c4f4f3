package raftstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// A work is load on some nodes, that keeps account of what they acknowledged.
type work struct {
	t     *testing.T
	nodes []*raftstore.Store
	acked atomic.Int64
	stop  chan struct{}
	wg    sync.WaitGroup

	mu    sync.Mutex
	there map[int]bool // what must be there, and what must not; what was not acknowledged may be either
}

// workers of a work are as many as keep the log busy.
const workers = 8

// load begins to add sessions through the nodes, and to remove some.
func load(t *testing.T, nodes ...*testcluster.Node) *work {
	w := &work{t: t, stop: make(chan struct{}), there: map[int]bool{}}
	for _, n := range nodes {
		w.nodes = append(w.nodes, n.Store)
	}
	for i := range workers {
		w.wg.Go(func() { w.run(i) })
	}
	t.Cleanup(w.end)
	return w
}

func (w *work) run(worker int) {
	for i := 0; ; i++ {
		select {
		case <-w.stop:
			return
		default:
		}
		k := worker*1_000_000 + i
		s := w.nodes[i%len(w.nodes)]
		if !w.did(k, true, s.Add(ctxFor(w.t, patience), id(k), data(k), time.Hour)) || i%2 == 1 {
			continue
		}
		w.did(k, false, s.Remove(ctxFor(w.t, patience), id(k)))
	}
}

// did notes an answer, and tells whether it was an acknowledgement.
func (w *work) did(k int, there bool, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.there[k] = there
		w.acked.Add(1)
	case errors.Is(err, wire.Disconnected):
		delete(w.there, k)
	default: // nobody else has anything to do with this id
		w.t.Errorf("session %d, to be there %v: %v", k, there, err)
	}
	return err == nil
}

// more waits until so many more requests have been acknowledged.
func (w *work) more(n int64) {
	w.t.Helper()
	n += w.acked.Load()
	testcluster.Eventually(w.t, func() error {
		if done := w.acked.Load(); done < n {
			return fmt.Errorf("%d requests were acknowledged, not %d", done, n)
		}
		return nil
	})
}

// end stops the load.
func (w *work) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.wg.Wait()
}

// verify stops the load, compares all running nodes with each other, and holds one of them to what was acknowledged.
func (w *work) verify(c *testcluster.Cluster, n *testcluster.Node) {
	w.t.Helper()
	w.end()
	same(w.t, c)
	for k, there := range w.there {
		switch err := n.Have(ctxFor(w.t, patience), id(k)); {
		case there && err != nil:
			w.t.Fatalf("session %d was acknowledged: %v", k, err)
		case !there && err != wire.NotOK:
			w.t.Fatalf("session %d was removed: %v", k, err)
		}
	}
}

// same waits until all running nodes have applied as much, and compares all that they have.
func same(t *testing.T, c *testcluster.Cluster) {
	t.Helper()
	c.Leader()
	testcluster.Eventually(t, func() error {
		c.Agree()
		nodes := c.Running()
		want := raftstore.Dump(t, nodes[0].Store)
		for _, n := range nodes[1:] {
			if err := raftstore.Difference(raftstore.Dump(t, n.Store), want); err != nil {
				return fmt.Errorf("%s: %w", n.Config.Name, err)
			}
		}
		return nil
	})
}

// trimmed has nodes that are written to take snapshots and trim their logs, until these begin after an index.
func trimmed(t *testing.T, index uint64, nodes ...*testcluster.Node) {
	t.Helper()
	for _, n := range nodes {
		testcluster.Eventually(t, func() error {
			if err := raftstore.Compact(n.Store, 1); err != nil {
				return err
			}
			if first := n.Status().LogFirst; first <= index+1 {
				return fmt.Errorf("the log of %s begins at %d, not after %d", n.Config.Name, first, index)
			}
			return nil
		})
	}
}

// bulk adds sessions of so many bytes together, that take a while to send.
func bulk(t *testing.T, n *testcluster.Node, bytes int) {
	t.Helper()
	const size = 30_000
	errs := make(chan error)
	for i := range bytes / size {
		go func() {
			errs <- n.Add(ctxFor(t, patience), fmt.Appendf(nil, "bulk %d", i), make([]byte, size), time.Hour)
		}()
	}
	for range bytes / size {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// caughtUp waits until a node has applied what another has now.
func caughtUp(t *testing.T, n, with *testcluster.Node) {
	t.Helper()
	want := with.Status().Applied
	testcluster.Eventually(t, func() error {
		if st := n.Status(); st.Applied < want {
			return fmt.Errorf("%s has applied %d, not %d; it is a %s", st.Node, st.Applied, want, st.Role)
		}
		return nil
	})
}

// receiving waits until a node has been sent a part of a snapshot, which is held.
func receiving(t *testing.T, n *testcluster.Node, h *testcluster.Hold) {
	t.Helper()
	<-h.Reached()
	testcluster.Eventually(t, func() error {
		fi, err := os.Stat(filepath.Join(n.Config.Dir, "snapshots", "incoming.db"))
		if err == nil && fi.Size() == 0 {
			err = errors.New("nothing has come yet")
		}
		return err
	})
}

// sent waits until a node was sent a snapshot whose state is beyond an index, and gives the state's index.
func sent(t *testing.T, n *testcluster.Node, beyond uint64) (index uint64) {
	t.Helper()
	testcluster.Eventually(t, func() error {
		if index = raftstore.Received(t, n.Config.Dir); index <= beyond {
			return fmt.Errorf("%s was not sent a snapshot of more than %d", n.Config.Name, beyond)
		}
		return nil
	})
	return index
}
