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

// maxQueued is the most bytes that may wait for a write to end. The answers to all requests that a node has in flight
// fit in, unless most answers are large.
const maxQueued = 32 << 20

// ErrSlowPeer is the error of a Writer whose peer reads more slowly than messages are sent.
var ErrSlowPeer = errors.New("the peer does not take its messages")

// A Writer sends messages. Any number of goroutines may use it. Messages that are sent during a write are gathered
// and then written together, by the goroutine that is writing. The owner of the connection must bound the time of a
// write, by a deadline. At the first error the Writer closes the connection, so that its reader gets an error too.
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

// NewWriter returns a Writer to w. before, unless nil, is called before each write and may set a deadline.
func NewWriter(w io.WriteCloser, before func()) *Writer {
	return &Writer{w: w, before: before, limit: maxQueued}
}

// Send queues m, and writes all queued messages unless another goroutine is writing. Errors are final. A nil error does
// not mean that m has been written: another goroutine may still be writing.
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

// Queue is Send for callers that must not wait for the peer: a new goroutine does the writing.
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

// queue adds a message. If it returns true, the caller must see that write is called. Called with mu held.
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

// write writes until the queue is empty. Called with mu held, which write releases while it writes.
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

// failed records the first error and closes the connection. Called with mu held.
func (w *Writer) failed(err error) {
	if w.err != nil {
		return
	}
	w.err, w.queued = err, nil
	w.w.Close() // only the first error counts
}
