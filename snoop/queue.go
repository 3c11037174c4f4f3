package snoop

import (
	"io"
	"sync"
	"time"
)

// A queue carries lines to the output, which may be slow. Nobody waits to put a line: a line that finds no room is
// counted, and a notice in the output says how many lines are missing there.
type queue struct {
	w      io.Writer
	limit  int                                   // bytes
	notice func(dst []byte, lines uint64) []byte // what stands for dropped lines
	failed func(error)                           // is called once, when w fails; from then on all lines are dropped

	mu      sync.Mutex
	lines   []byte
	missing uint64 // dropped since the last notice
	total   uint64 // dropped
	broken  bool
	closed  bool
	wake    chan struct{}
	done    chan struct{} // closed when all has been written
}

func newQueue(w io.Writer, limit int, notice func([]byte, uint64) []byte, failed func(error)) *queue {
	q := &queue{w: w, limit: limit, notice: notice, failed: failed,
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	go q.run()
	return q
}

// full tells whether a line would be dropped. If so, it counts the line as dropped.
func (q *queue) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drop(1)
}

func (q *queue) put(line []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.drop(len(line)) {
		q.add(line)
	}
}

// force is put for a line that must not be dropped. Few lines may be put in this way: they ignore the limit.
func (q *queue) force(line []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.missing > 0 {
		q.lines = q.notice(q.lines, q.missing)
		q.missing = 0
	}
	q.add(line)
}

// drop counts a line of n bytes as dropped if there is no room for it. Once a line is missing, all later ones are
// dropped until the notice is written, so that the notice stands in the right place. A line longer than the limit is
// taken when the queue is empty.
func (q *queue) drop(n int) bool {
	if !q.closed && !q.broken && q.missing == 0 && (len(q.lines) == 0 || len(q.lines)+n <= q.limit) {
		return false
	}
	q.missing++
	q.total++
	return true
}

func (q *queue) add(line []byte) {
	q.lines = append(q.lines, line...)
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // run has been woken already
	}
}

// dropped is how many lines have been lost so far.
func (q *queue) dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}

// run writes until the queue is closed and empty.
func (q *queue) run() {
	defer close(q.done)
	var lines []byte
	for {
		<-q.wake
		q.mu.Lock()
		lines, q.lines = q.lines, lines[:0]
		if q.missing > 0 && !q.broken {
			lines = q.notice(lines, q.missing)
			q.missing = 0
		}
		closed := q.closed
		broken := q.broken
		q.mu.Unlock()
		if len(lines) > 0 && !broken {
			if _, err := q.w.Write(lines); err != nil {
				q.mu.Lock()
				q.broken = true
				q.mu.Unlock()
				q.failed(err)
			}
		}
		if closed {
			return
		}
	}
}

// close waits until all lines are written, but not longer than patience. If the output is stuck for ever, the goroutine
// that writes to it stays.
func (q *queue) close(patience time.Duration) {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
	select {
	case <-q.done:
	case <-time.After(patience):
	}
}
