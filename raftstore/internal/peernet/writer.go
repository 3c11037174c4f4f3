package peernet

import (
	"errors"
	"io"
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

// A Writer sends messages. Any number of goroutines may call Send: messages that come while one is being written are
// gathered and written together, in one call, by a goroutine that lives only while there is something to write: Send does
// not wait for the peer. Whoever owns the connection bounds the
// time that a write may take. At the first error the Writer closes the connection, so that its reader finds out too.
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

// Send queues m to be written. An error is the connection's and final, and comes of an earlier write.
func (w *Writer) Send(m *wire.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.queued = wire.AppendMessage(w.queued, m)
	if len(w.queued) > w.limit {
		w.failed(ErrSlowPeer)
		return w.err
	}
	if !w.writing {
		w.writing = true
		go w.write()
	}
	return nil
}

// write writes what is queued until there is nothing.
func (w *Writer) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
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
