package raftstore

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/wire"
)

// errRetry means that a request was not carried out, and will not be: ask again, under the same identity. errLost is an
// errRetry of a request of which that is not known: it may have been carried out, or be yet.
var (
	errRetry = errors.New("not carried out here")
	errLost  = fmt.Errorf("%w, as far as is known", errRetry)
)

// maxQueued bounds the full batches that wait for their turn. Operations beyond it wait in the queue.
const maxQueued = 64

// A waiter hears what became of an operation: its status, errRetry or errLost. finish must not block.
type waiter interface {
	finish(wire.Status, error)
}

// A batch is a log entry in the making.
type batch struct {
	buf     []byte
	waiters []waiter // one for each operation
	commit  []waiter // those that wait for the entry as such
	began   time.Time
	sealed  bool // some of the operations' data are
}

// A batcher gathers operations into log entries on the leader. Whatever arrives while earlier entries are under way
// goes into the next one. Beside another entry only one that is worth it is sent, of a sixteenth of the bound: an
// entry costs the nodes as much as a dozen operations, and small ones would take the time from each other.
type batcher struct {
	raft     proposer
	counters *counters
	stamp    func() uint64 // of the next entry
	capacity uint64
	limit    int // bytes of an entry
	inFlight int // entries

	mu     sync.Mutex
	cur    *batch    // nil: nothing waits
	full   []*batch  // before cur
	queue  waitQueue // behind cur
	flying int
	closed bool

	kick chan struct{}
	done chan struct{}
	wg   sync.WaitGroup
}

// A proposer is a [raftnode.Node].
type proposer interface {
	Propose(data []byte) (wait func() ([]wire.Status, error))
}

func newBatcher(r proposer, cfg Config, stamp func() uint64) *batcher {
	b := &batcher{
		raft:     r,
		counters: cfg.counters,
		stamp:    stamp,
		capacity: cfg.Sessions,
		limit:    cfg.BatchBytes,
		inFlight: cfg.InFlight,
		queue:    waitQueue{most: cfg.Waiting},
		kick:     make(chan struct{}, 1),
		done:     make(chan struct{}),
	}
	go b.run()
	return b
}

// close ends the batcher when Raft begins to stop: everything that waits is told to retry.
func (b *batcher) close() {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.closed = true
	left := b.full
	if b.cur != nil {
		left = append(left, b.cur)
	}
	b.full, b.cur = nil, nil
	var late []waiter
	for p := b.queue.first(); p != nil; p = b.queue.first() {
		b.queue.leave(p)
		late = append(late, p.w)
	}
	b.mu.Unlock()
	for _, x := range left {
		x.finish(nil, errRetry)
	}
	turnAway(late)
	b.nudge()
	<-b.done
	b.wg.Wait()
}

// submit queues an operation; w hears of it, from another goroutine or this one. Without room for the
// operation it is queued: then its bytes must stay as they are until w has heard, or withdraw has taken it back.
func (b *batcher) submit(op *entry.Op, w waiter) (p *queued) {
	b.mu.Lock()
	taken := false
	if !b.closed {
		taken = b.queue.Len() == 0 && b.take(op, w)
		if !taken {
			p = b.queue.join(op, w)
		}
	}
	ready := taken && b.ready()
	b.mu.Unlock()
	switch {
	case ready:
		b.nudge()
	case !taken && p == nil:
		w.finish(0, errRetry)
	}
	return p
}

// take puts an operation into a batch, if there is room. Called with mu held.
func (b *batcher) take(op *entry.Op, w waiter) bool {
	need := entry.Size(len(op.ID), len(op.Data))
	if b.cur != nil && len(b.cur.buf)+need > b.limit && len(b.cur.waiters) > 0 {
		if len(b.full) >= maxQueued {
			return false
		}
		b.full = append(b.full, b.cur)
		b.cur = nil
	}
	b.open()
	b.cur.buf = entry.AppendOp(b.cur.buf, op)
	b.cur.sealed = b.cur.sealed || op.Sealed
	b.cur.waiters = append(b.cur.waiters, w)
	return true
}

// withdraw takes an operation out of the line. Its waiter hears nothing then. It is false when the operation has been
// taken before, and may be carried out.
func (b *batcher) withdraw(p *queued) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue.leave(p)
}

// advance lets queued operations into the batches, and gives those that have waited for too long. Called with mu held.
func (b *batcher) advance(now time.Time) (late []waiter) {
	for p := b.queue.first(); p != nil; p = b.queue.first() {
		if now.Sub(p.since) > queuePatience {
			late = append(late, p.w)
		} else if !b.take(&p.op, p.w) {
			break
		}
		b.queue.leave(p)
	}
	return late
}

func turnAway(ws []waiter) {
	for _, w := range ws {
		w.finish(0, errRetry)
	}
}

// propose sees to it that a log entry is committed, an empty one unless operations wait. w, unless nil, hears when it
// has been applied.
func (b *batcher) propose(w waiter) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		if w != nil {
			w.finish(0, errRetry)
		}
		return
	}
	b.open()
	if w != nil {
		b.cur.commit = append(b.cur.commit, w)
	}
	b.mu.Unlock()
	b.nudge()
}

// open makes a current batch unless there is one. Called with mu held.
func (b *batcher) open() {
	if b.cur == nil {
		b.cur = &batch{buf: entry.Begin(make([]byte, 0, 4096))}
	}
}

func (b *batcher) nudge() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// run hands batches to Raft, a few at a time.
func (b *batcher) run() {
	defer close(b.done)
	for range b.kick {
		for {
			x, late, closed := b.next()
			turnAway(late)
			if closed {
				return
			}
			if x == nil {
				break
			}
			entry.Seal(x.buf, entry.Header{Stamp: b.stamp(), Capacity: b.capacity, Count: len(x.waiters), Sealed: x.sealed})
			x.began = time.Now()
			wait := b.raft.Propose(x.buf)
			b.wg.Go(func() { b.await(wait, x) })
		}
	}
}

// next is the batch that may be sent now, if any; late are those that have waited for too long.
func (b *batcher) next() (x *batch, late []waiter, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, true
	}
	if b.flying >= b.inFlight {
		return nil, nil, false
	}
	switch {
	case len(b.full) > 0:
		x, b.full = b.full[0], b.full[1:]
	case b.cur != nil && b.ready():
		x, b.cur = b.cur, nil
	default:
		return nil, nil, false
	}
	b.flying++
	if b.queue.Len() > 0 {
		late = b.advance(time.Now())
	}
	return x, late, false
}

// ready tells whether the current batch may be sent now. Called with mu held.
func (b *batcher) ready() bool {
	return b.flying == 0 || b.flying < b.inFlight && len(b.cur.buf) >= b.limit/16
}

// await tells a batch's waiters what became of it.
func (b *batcher) await(wait func() ([]wire.Status, error), x *batch) {
	statuses, err := wait()
	b.counters.batched(len(x.waiters), len(x.buf), time.Since(x.began))
	b.mu.Lock()
	b.flying--
	more := b.cur != nil || len(b.full) > 0
	b.mu.Unlock()
	if more {
		b.nudge()
	}
	switch {
	case errors.Is(err, raftnode.ErrNotProposed):
		x.finish(nil, errRetry)
	case err != nil || len(statuses) != len(x.waiters):
		x.finish(nil, errLost)
	default:
		x.finish(statuses, nil)
	}
}

// finish tells everybody what became of the batch.
func (x *batch) finish(statuses []wire.Status, err error) {
	for i, w := range x.waiters {
		if err != nil {
			w.finish(0, err)
		} else {
			w.finish(statuses[i], nil)
		}
	}
	for _, w := range x.commit {
		w.finish(wire.OK, err)
	}
}
