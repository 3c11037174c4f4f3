package raftstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// slots is how many sessions a writer has at a time.
const slots = 8

// A fact is what was acknowledged last of a session, while no write of it is under way.
type fact struct {
	session int
	there   bool
}

// A writer adds and removes sessions through one node, its own sessions only.
type writer struct {
	facts  [slots]atomic.Pointer[fact] // nil: a write is under way, or its fate is unknown
	newest atomic.Int64
	acked  atomic.Int64
}

// A history has writers and readers at work on nodes, and holds what the readers see against what was acknowledged
// before they asked.
type history struct {
	t       testing.TB
	stop    chan struct{}
	wg      sync.WaitGroup
	session atomic.Int64
	wrong   atomic.Int64

	mu      sync.Mutex
	writers []*writer
	nodes   map[*testcluster.Node]*observed
}

// observed counts the answers of a node that could be checked.
type observed struct{ there, gone atomic.Int64 }

func newHistory(t testing.TB) *history {
	h := &history{t: t, stop: make(chan struct{}), nodes: map[*testcluster.Node]*observed{}}
	t.Cleanup(func() {
		close(h.stop)
		h.wg.Wait()
	})
	return h
}

// begin puts a writer and readers to work on a node, until it ends.
func (h *history) begin(n *testcluster.Node) {
	w, o := &writer{}, &observed{}
	h.mu.Lock()
	h.writers = append(h.writers, w)
	h.nodes[n] = o
	h.mu.Unlock()
	s := n.Store // which the test may close
	h.wg.Go(func() { h.until(s, func(i int) { h.write(s, w, i%slots) }) })
	for range 2 {
		h.wg.Go(func() { h.until(s, func(int) { h.read(s, o) }) })
	}
}

// fail says what is wrong, unless it has said so often enough.
func (h *history) fail(format string, args ...any) {
	if h.wrong.Add(1) <= 5 {
		h.t.Errorf(format, args...)
	}
}

func (h *history) until(s *raftstore.Store, f func(i int)) {
	for i := 0; ; i++ {
		select {
		case <-h.stop:
			return
		case <-s.Done():
			return
		default:
			f(i)
		}
	}
}

// write removes the session in a slot, or adds a new one there. A write whose fate is unknown may be carried out much
// later: nothing more is said of its session.
func (h *history) write(s *raftstore.Store, w *writer, slot int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	next := &fact{}
	var err error
	if f := w.facts[slot].Swap(nil); f != nil && f.there {
		next.session = f.session
		err = s.Remove(ctx, id(next.session))
	} else {
		next.session, next.there = int(h.session.Add(1)), true
		err = s.Add(ctx, id(next.session), data(next.session), time.Hour)
	}
	if err != nil {
		if err != wire.Disconnected {
			h.fail("a write through %s, of a session that nobody else writes: %v", s.Status().Node, err)
		}
		return
	}
	w.facts[slot].Store(next)
	w.newest.Store(int64(slot))
	w.acked.Add(1)
}

// read asks a node for a session that was written a moment ago, most likely, by any of the writers.
func (h *history) read(s *raftstore.Store, o *observed) {
	h.mu.Lock()
	w := h.writers[rand.IntN(len(h.writers))]
	h.mu.Unlock()
	slot := w.newest.Load()
	if rand.IntN(4) == 0 {
		slot = rand.Int64N(slots)
	}
	f := w.facts[slot].Load()
	if f == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	there, err := look(ctx, s, f.session)
	if err != nil {
		if err != wire.Disconnected {
			h.fail("a read on %s: %v", s.Status().Node, err)
		}
		return
	}
	if w.facts[slot].Load() != f {
		return // a write has begun meanwhile
	}
	if there != f.there {
		h.fail("a read on %s: session %d is there: %v; it was acknowledged before that this is %v", s.Status().Node, f.session, there, f.there)
	}
	if there {
		o.there.Add(1)
	} else {
		o.gone.Add(1)
	}
}

func look(ctx context.Context, s *raftstore.Store, session int) (there bool, err error) {
	if rand.IntN(2) == 0 {
		err = s.Have(ctx, id(session))
	} else {
		var got []byte
		got, err = s.Get(ctx, id(session))
		if err == nil && !bytes.Equal(got, data(session)) {
			return true, fmt.Errorf("the data of session %d are wrong", session)
		}
	}
	if err == wire.NotOK {
		return false, nil
	}
	return err == nil, err
}

// goOn waits until writes have been acknowledged, and answers of each of these nodes checked.
func (h *history) goOn(nodes ...*testcluster.Node) {
	h.t.Helper()
	const enough = 25
	var before [][2]int64
	for _, n := range nodes {
		before = append(before, [2]int64{h.nodes[n].there.Load(), h.nodes[n].gone.Load()})
	}
	acked := h.acked()
	testcluster.Eventually(h.t, func() error {
		if now := h.acked(); now < acked+enough {
			return fmt.Errorf("%d writes acknowledged", now-acked)
		}
		for i, n := range nodes {
			o := h.nodes[n]
			if there, gone := o.there.Load()-before[i][0], o.gone.Load()-before[i][1]; there < enough || gone < enough {
				return fmt.Errorf("%s gave %d sessions and missed %d", n.Config.Name, there, gone)
			}
		}
		return nil
	})
}

func (h *history) acked() (sum int64) {
	for _, w := range h.writers {
		sum += w.acked.Load()
	}
	return sum
}

// A read sees every write that was acknowledged before it began, on whichever node, while a cluster grows from one node
// and shrinks to one again, and while others come to lead and those that led don't know.
func TestReadsAreLinearizable(t *testing.T) {
	t.Parallel()
	c, l, h := testcluster.New(t), newLinks(), newHistory(t)
	first := lone(t, c, "n1", l.through)
	h.begin(first)
	h.goOn(first)
	alone(t, first, true)
	for _, name := range []string{"n2", "n3"} {
		n := lone(t, c, name, l.through, func(cfg *raftstore.Config) { cfg.Join = []string{first.Config.Peer} })
		h.begin(n)
	}
	first.Voters("n1", "n2", "n3")
	all := c.Running()
	h.goOn(all...)
	alone(t, first, false)

	for i, old := range all[:2] {
		rest := []*testcluster.Node{all[1-i], all[2]}
		// With a follower's word the leader has a majority: that is how most of the reads are answered.
		for _, n := range rest {
			testcluster.Eventually(t, func() error {
				lead(t, old)
				if !old.ProvenIndex(n.Store) {
					return fmt.Errorf("%s does not take the word of %s", old.Config.Name, n.Config.Name)
				}
				return nil
			})
		}
		lead(t, old)
		l.depose(old.Config.Name)
		testcluster.Eventually(t, func() error { return leads(rest...) })
		h.goOn(rest...)
		l.sever(uncut)
		h.goOn(all...)
	}

	cut := c.Followers()[0]
	cut.Isolate()
	h.goOn(c.Leader())
	cut.Heal()
	h.goOn(all...)
	lead(t, first)
	h.goOn(all...)

	for i, n := range all[:2] {
		leave(t, n)
		n.Stop()
		h.goOn(all[i+1:]...)
	}
	last := all[2]
	alone(t, last, true)
	last.Stop()
	last.Start()
	alone(t, last, true)
}

func alone(t testing.TB, n *testcluster.Node, want bool) {
	t.Helper()
	if got := n.Alone(); got != want {
		t.Errorf("%s takes itself for the only voter: %v", n.Config.Name, got)
	}
}

// lead has a node become the leader, unless it is.
func lead(t testing.TB, n *testcluster.Node) {
	t.Helper()
	testcluster.Eventually(t, func() error {
		if leads(n) == nil {
			return nil
		}
		if err := n.Transfer(ctxFor(t, patience), n.Config.Name); err != nil {
			return err
		}
		return leads(n)
	})
}

// leave has a node leave its cluster, which refuses that while it takes another voter, that is slow to answer, for
// dead.
func leave(t testing.TB, n *testcluster.Node) {
	t.Helper()
	testcluster.Eventually(t, func() error { return n.Leave(ctxFor(t, patience)) })
}

// leads returns nil when one of these nodes leads.
func leads(nodes ...*testcluster.Node) error {
	for _, n := range nodes {
		if n.Status().Role == raftstore.RoleLeader {
			return nil
		}
	}
	return errors.New("no leader")
}
