package raftstore

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/wire"
)

// A gate is a state machine that applies an entry when it is let: it answers OK to each operation.
type gate struct {
	entered chan raft.Log // an entry has come
	let     chan struct{} // nil: always
}

func (g *gate) Apply(l *raft.Log) any {
	if g.entered != nil {
		g.entered <- *l
	}
	if g.let != nil {
		<-g.let
	}
	h, _, err := entry.ParseHeader(l.Data)
	return applied{make([]wire.Status, h.Count), err}
}

func (*gate) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("no snapshots") }
func (*gate) Restore(r io.ReadCloser) error       { return r.Close() }

// lonely starts Raft in memory with one voter, and waits until it leads.
func lonely(t *testing.T, f raft.FSM) *raft.Raft {
	t.Helper()
	c := raftConfig(Config{Name: "n1", Logger: Config{}.withDefaults().Logger, Heartbeat: 50 * time.Millisecond, Lease: 50 * time.Millisecond}, "n1")
	c.NoSnapshotRestoreOnStart = false
	store := raft.NewInmemStore()
	address, transport := raft.NewInmemTransport("")
	r, err := raft.NewRaft(c, f, store, store, raft.NewInmemSnapshotStore(), transport)
	if err != nil {
		t.Fatal(err)
	}
	err = r.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{ID: c.LocalID, Address: address}}}).Error()
	if err != nil {
		t.Fatal(err)
	}
	if !<-r.LeaderCh() {
		t.Fatal("no leader")
	}
	return r
}

func noClock() uint64 { return 0 }

// small are settings of a batcher.
func small(bytes, inFlight int) Config {
	return Config{BatchBytes: bytes, InFlight: inFlight}.withDefaults()
}

func nofail(t *testing.T) func(error) {
	return func(err error) { t.Errorf("the node was given up: %v", err) }
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
	g := &gate{entered: make(chan raft.Log, 1000), let: make(chan struct{})}
	r := lonely(t, g)
	const limit, ops = 1000, 300
	b := newBatcher(r, small(limit, 2), noClock, nofail(t))
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
		h, rest, err := entry.ParseHeader(l.Data)
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Data) > limit && h.Count != 1 {
			t.Errorf("an entry of %d bytes with %d operations", len(l.Data), h.Count)
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
	shut(t, r, b)
}

// Beside an entry that is under way a small one is not sent before it has grown.
func TestSmallBatchesWait(t *testing.T) {
	g := &gate{entered: make(chan raft.Log, 100), let: make(chan struct{})}
	r := lonely(t, g)
	const limit = 16 * 200
	b := newBatcher(r, small(limit, 2), noClock, nofail(t))
	defer shut(t, r, b)
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
	h, _, err := entry.ParseHeader((<-g.entered).Data)
	if err != nil || h.Count < 3 {
		t.Errorf("the second entry has %d operations, %v", h.Count, err)
	}
	if c.ok != n {
		t.Errorf("%d of %d carried out", c.ok, n)
	}
}

// What does not fit into the batches stands in line, and is carried out when its turn comes, unless it was taken back.
func TestQueueIsBounded(t *testing.T) {
	g := &gate{entered: make(chan raft.Log, 20*maxQueued), let: make(chan struct{})}
	r := lonely(t, g)
	b := newBatcher(r, small(100, 1), noClock, nofail(t))
	var c count
	const ops = 10 * maxQueued
	var places []*place
	for i := range ops {
		places = append(places, b.submit(removal(fmt.Sprintf("%060d", i)), c.waiter()))
	}
	b.mu.Lock()
	queued, inLine := len(b.full), b.line.Len()
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
	shut(t, r, b)
	close(g.entered)
	last := ""
	for l := range g.entered {
		h, rest, err := entry.ParseHeader(l.Data)
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
	for b.line.Len() < maxLine {
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
	late := b.advance(time.Now().Add(linePatience + time.Second))
	if len(late) != maxLine || b.line.Len() != 0 {
		t.Errorf("%d have waited for too long, and %d go on", len(late), b.line.Len())
	}
	turnAway(late)
	if c.bad != 1+maxLine {
		t.Errorf("%d were turned away", c.bad)
	}
}

// Everybody hears when the batcher is closed, whatever had become of the entries: Raft forgets those that were on their
// way to the state machine when it was shut down.
func TestCloseWithEntriesUnderWay(t *testing.T) {
	for range 12 {
		g := &gate{entered: make(chan raft.Log, 100), let: make(chan struct{})}
		r := lonely(t, g)
		b := newBatcher(r, small(100, 4), noClock, nofail(t))
		var c count
		for i := range 20 {
			b.submit(removal(fmt.Sprintf("%080d", i)), c.waiter())
		}
		b.propose(c.waiter())
		<-g.entered
		f := r.Shutdown()
		close(g.let)
		if err := f.Error(); err != nil {
			t.Fatal(err)
		}
		closeInTime(t, b)
		c.all.Wait()
		if c.ok+c.bad != 21 {
			t.Errorf("%d heard", c.ok+c.bad)
		}
	}
}

func TestClosedBatcher(t *testing.T) {
	r := lonely(t, &gate{})
	b := newBatcher(r, small(100, 1), noClock, nofail(t))
	shut(t, r, b)
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
	g := &gate{entered: make(chan raft.Log, 10)}
	r := lonely(t, g)
	began := time.Now()
	future := uint64(began.Add(time.Hour).UnixMilli())
	last := future
	cfg := small(1<<20, 1)
	cfg.Sessions = 7
	b := newBatcher(r, cfg, func() uint64 { return future }, nofail(t))
	var c count
	for range 3 {
		b.propose(c.waiter())
		c.all.Wait()
		l := <-g.entered
		h, _, err := entry.ParseHeader(l.Data)
		if most := future + uint64(time.Since(began).Milliseconds()); err != nil || h.Stamp < last || h.Stamp > most {
			t.Errorf("the stamp is %d, %v: want %d to %d", h.Stamp, err, last, most)
		}
		if h.Capacity != 7 || h.Count != 0 {
			t.Errorf("%+v: want a limit of 7, and no operations", h)
		}
		last = h.Stamp
	}
	shut(t, r, b)
}

func shut(t *testing.T, r *raft.Raft, b *batcher) {
	t.Helper()
	if err := r.Shutdown().Error(); err != nil {
		t.Fatal(err)
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
