package raftstore

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/wire"
)

// A gate carries out entries in order, each when it is let: it answers OK to each operation.
type gate struct {
	entered chan []byte   // an entry's turn has come
	let     chan struct{} // nil: always
	stopped chan struct{}

	mu   sync.Mutex
	last <-chan struct{} // closed when the entry proposed last has been carried out
}

func newGate(entries int) *gate {
	return &gate{entered: make(chan []byte, entries), stopped: make(chan struct{})}
}

// Propose takes an entry.
func (g *gate) Propose(data []byte) func() ([]wire.Status, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, done := g.last, make(chan struct{})
	g.last = done
	return func() ([]wire.Status, error) {
		defer close(done)
		if before != nil {
			<-before
		}
		g.entered <- data
		if g.let != nil {
			select {
			case <-g.let:
			case <-g.stopped:
				return nil, raftnode.ErrLost
			}
		}
		h, _, err := entry.ParseHeader(data)
		return make([]wire.Status, h.Count), err
	}
}

func noClock() uint64 { return 0 }

// small are settings of a batcher.
func small(bytes, inFlight int) Config {
	return Config{BatchBytes: bytes, InFlight: inFlight}.withDefaults()
}

// count hears what became of operations.
type count struct {
	mu      sync.Mutex
	ok, bad int
	all     sync.WaitGroup
}

func (c *count) waiter() waiter {
	c.all.Add(1)
	return waiterFunc(func(_ wire.Status, err error) {
		c.mu.Lock()
		if err == nil {
			c.ok++
		} else {
			c.bad++
		}
		c.mu.Unlock()
		c.all.Done()
	})
}

func removal(id string) *entry.Op { return &entry.Op{Kind: entry.Remove, ID: []byte(id)} }

// Whatever arrives while the entries in flight are under way goes into the next ones, none of which is over the bound.
func TestBatchesAreBounded(t *testing.T) {
	g := newGate(1000)
	g.let = make(chan struct{})
	const limit, ops = 1000, 300
	b := newBatcher(g, small(limit, 2), noClock)
	var c count
	for i := range ops {
		b.submit(removal(fmt.Sprintf("session %03d", i)), c.waiter())
	}
	// An operation that is over the bound by itself goes alone.
	b.submit(&entry.Op{Kind: entry.Add, ID: []byte("big"), Data: make([]byte, 5*limit)}, c.waiter())
	close(g.let)
	c.all.Wait()
	if c.ok != ops+1 {
		t.Errorf("%d of %d carried out", c.ok, ops+1)
	}
	seen, next := 0, 0
	for seen < ops+1 {
		l := <-g.entered
		h, rest, err := entry.ParseHeader(l)
		if err != nil {
			t.Fatal(err)
		}
		if len(l) > limit && h.Count != 1 {
			t.Errorf("an entry of %d bytes with %d operations", len(l), h.Count)
		}
		for range h.Count {
			var op entry.Op
			if rest, err = entry.NextOp(rest, &op); err != nil {
				t.Fatal(err)
			}
			if op.Kind == entry.Remove {
				if want := fmt.Sprintf("session %03d", next); string(op.ID) != want {
					t.Fatalf("%s where %s should be", op.ID, want)
				}
				next++
			}
			seen++
		}
	}
	closeInTime(t, b)
}

// Beside an entry that is under way a small one is not sent before it has grown.
func TestSmallBatchesWait(t *testing.T) {
	g := newGate(100)
	g.let = make(chan struct{})
	const limit = 16 * 200
	b := newBatcher(g, small(limit, 2), noClock)
	defer closeInTime(t, b)
	var c count
	b.submit(removal("the first"), c.waiter())
	<-g.entered // and stays
	b.submit(removal("the second"), c.waiter())
	b.submit(removal("the third"), c.waiter())
	if x, _, _ := b.next(); x != nil {
		t.Fatalf("%d operations are sent beside an entry that is under way", len(x.waiters))
	}
	n := 3
	for ; n < limit/16/entry.Size(1, 0)+4; n++ {
		b.submit(removal("the others"), c.waiter())
	}
	for flying := 0; flying < 2; {
		b.mu.Lock()
		flying = b.flying
		b.mu.Unlock()
	}
	close(g.let)
	c.all.Wait()
	h, _, err := entry.ParseHeader(<-g.entered)
	if err != nil || h.Count < 3 {
		t.Errorf("the second entry has %d operations, %v", h.Count, err)
	}
	if c.ok != n {
		t.Errorf("%d of %d carried out", c.ok, n)
	}
}

// What does not fit into the batches stands in line, and is carried out when its turn comes, unless it was taken back.
func TestQueueIsBounded(t *testing.T) {
	g := newGate(20 * maxQueued)
	g.let = make(chan struct{})
	b := newBatcher(g, small(100, 1), noClock)
	var c count
	const ops = 10 * maxQueued
	var places []*queued
	for i := range ops {
		places = append(places, b.submit(removal(fmt.Sprintf("%060d", i)), c.waiter()))
	}
	b.mu.Lock()
	queued, inLine := len(b.full), b.queue.Len()
	b.mu.Unlock()
	if queued > maxQueued || inLine < ops-maxQueued-4 {
		t.Errorf("%d batches are queued, and %d operations in line", queued, inLine)
	}
	withdrawn := 0
	for i, p := range places {
		if p == nil {
			continue // it had its place in a batch
		}
		if i%3 == 0 {
			if !b.withdraw(p) || b.withdraw(p) {
				t.Error("an operation in line can be taken back, once")
			}
			withdrawn++
			c.all.Done()
		}
	}
	close(g.let)
	c.all.Wait()
	if c.bad != 0 || c.ok != ops-withdrawn {
		t.Errorf("%d were carried out, %d were not; %d of %d were taken back", c.ok, c.bad, withdrawn, ops)
	}
	for _, p := range places {
		if p != nil && b.withdraw(p) {
			t.Error("one that has been carried out can be taken back")
		}
	}
	closeInTime(t, b)
	close(g.entered)
	last := ""
	for l := range g.entered {
		h, rest, err := entry.ParseHeader(l)
		for range h.Count {
			var op entry.Op
			if rest, err = entry.NextOp(rest, &op); err != nil {
				break
			}
			if string(op.ID) <= last {
				t.Fatalf("%s comes after %s", op.ID, last)
			}
			last = string(op.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A line that is too long is not joined, and nobody stands in it for ever.
func TestLineIsBounded(t *testing.T) {
	b := &batcher{limit: 100, kick: make(chan struct{}, 1)}
	var c count
	before := time.Now()
	for b.queue.Len() < maxWaitingOps {
		b.submit(removal("one of many"), c.waiter())
	}
	if c.bad != 0 {
		t.Errorf("%d were turned away before that", c.bad)
	}
	if p := b.submit(removal("another"), c.waiter()); p != nil || c.bad != 1 {
		t.Errorf("the next has the place %v, %d were turned away", p, c.bad)
	}
	if late := b.advance(before); len(late) != 0 {
		t.Errorf("%d are said to have waited for too long", len(late))
	}
	late := b.advance(time.Now().Add(queuePatience + time.Second))
	if len(late) != maxWaitingOps || b.queue.Len() != 0 {
		t.Errorf("%d have waited for too long, and %d go on", len(late), b.queue.Len())
	}
	turnAway(late)
	if c.bad != 1+maxWaitingOps {
		t.Errorf("%d were turned away", c.bad)
	}
}

// Everybody hears when the batcher is closed, whatever had become of the entries.
func TestCloseWithEntriesUnderWay(t *testing.T) {
	for range 12 {
		g := newGate(100)
		g.let = make(chan struct{})
		b := newBatcher(g, small(100, 4), noClock)
		var c count
		for i := range 20 {
			b.submit(removal(fmt.Sprintf("%080d", i)), c.waiter())
		}
		b.propose(c.waiter())
		<-g.entered
		close(g.stopped)
		closeInTime(t, b)
		c.all.Wait()
		if c.ok+c.bad != 21 {
			t.Errorf("%d heard", c.ok+c.bad)
		}
	}
}

func TestClosedBatcher(t *testing.T) {
	b := newBatcher(newGate(10), small(100, 1), noClock)
	closeInTime(t, b)
	var c count
	b.submit(removal("a"), c.waiter())
	b.propose(c.waiter())
	b.propose(nil)
	c.all.Wait()
	if c.bad != 2 {
		t.Errorf("%d were turned away, want 2", c.bad)
	}
	b.close()
}

// The stamp is never less than what the state machine has seen, whatever the clock says, and goes on from there as time
// does.
func TestStampsRise(t *testing.T) {
	g := newGate(10)
	began := time.Now()
	future := uint64(began.Add(time.Hour).UnixMilli())
	last := future
	cfg := small(1<<20, 1)
	cfg.Sessions = 7
	b := newBatcher(g, cfg, func() uint64 { return future })
	var c count
	for range 3 {
		b.propose(c.waiter())
		c.all.Wait()
		l := <-g.entered
		h, _, err := entry.ParseHeader(l)
		if most := future + uint64(time.Since(began).Milliseconds()); err != nil || h.Stamp < last || h.Stamp > most {
			t.Errorf("the stamp is %d, %v: want %d to %d", h.Stamp, err, last, most)
		}
		if h.Capacity != 7 || h.Count != 0 {
			t.Errorf("%+v: want a limit of 7, and no operations", h)
		}
		last = h.Stamp
	}
	closeInTime(t, b)
}

func closeInTime(t *testing.T, b *batcher) {
	t.Helper()
	done := make(chan struct{})
	go func() { b.close(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("close does not return")
	}
}
