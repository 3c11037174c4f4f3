package peernet

import (
	"errors"
	"io"
	"runtime"
	"sync"

	"github.com/distcache/distcache/wire"
)

// keepBuffer is the largest buffer a Writer keeps when there is nothing to write.
const keepBuffer = 16 << 10

// maxQueued is the most bytes that wait for a write to end: the answers to all the requests that a node has in flight,
// unless most of them are large.
const maxQueued = 32 << 20

// ErrSlowPeer is the error of a Writer whose peer takes less than it is sent.
var ErrSlowPeer = errors.New("the peer does not take its messages")

// A Writer sends messages. Any number of goroutines may use it: messages that come while one is being written are gathered
// and written together, in one call, by whoever is writing. Whoever owns the connection bounds the time that a write may
// take. At the first error the Writer closes the connection, so that its reader finds out too.
type Writer struct {
	w      io.WriteCloser
	before func() // called before each write
	limit  int    // bytes that may be queued

	mu      sync.Mutex
	queued  []byte
	spare   []byte
	writing bool
	err     error
}

// NewWriter returns a Writer to w. before, unless nil, is called before each write: to set a deadline.
func NewWriter(w io.WriteCloser, before func()) *Writer {
	return &Writer{w: w, before: before, limit: maxQueued}
}

// Send queues m, and writes it and all else that is queued unless that is being done. An error is the connection's and
// final. A nil error does not mean that m has been written, when another goroutine does the writing.
func (w *Writer) Send(m *wire.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue(m) {
		w.mu.Unlock()
		runtime.Gosched() // others that can run may add to the write
		w.mu.Lock()
		w.write()
	}
	return w.err
}

// Queue is Send for those who may not wait for the peer: another goroutine does the writing.
func (w *Writer) Queue(m *wire.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue(m) {
		go func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.write()
		}()
	}
	return w.err
}

// queue adds a message, and makes the caller see to the writing if it says so. Called with mu held.
func (w *Writer) queue(m *wire.Message) bool {
	if w.err != nil {
		return false
	}
	w.queued = wire.AppendMessage(w.queued, m)
	if len(w.queued) > w.limit {
		w.failed(ErrSlowPeer)
		return false
	}
	if w.writing {
		return false
	}
	w.writing = true
	return true
}

// write writes what is queued until there is nothing. Called with mu held, which is let go for the writing.
func (w *Writer) write() {
	for len(w.queued) > 0 && w.err == nil {
		out := w.queued
		w.queued = w.spare[:0]
		w.mu.Unlock()
		if w.before != nil {
			w.before()
		}
		_, err := w.w.Write(out)
		w.mu.Lock()
		if err != nil {
			w.failed(err)
		}
		w.spare = nil
		if cap(out) <= keepBuffer {
			w.spare = out[:0]
		}
	}
	w.writing = false
}

// failed keeps the first error, and nothing else. Called with mu held.
func (w *Writer) failed(err error) {
	if w.err != nil {
		return
	}
	w.err, w.queued = err, nil
	w.w.Close() // the error that counts is the first
}
