package peernet

import (
	"io"
	"sync"

	"github.com/distcache/distcache/wire"
)

// keepBuffer is the largest buffer a Writer keeps when there is nothing to write.
const keepBuffer = 16 << 10

// A Writer sends messages. Any number of goroutines may call Send: messages that come while one is being written are
// gathered and written together by the goroutine that is writing, in one call. The queue is not bounded here: whoever
// owns the connection bounds the messages in flight, and the time that a write may take.
type Writer struct {
	w      io.Writer
	before func() // called before each write

	mu      sync.Mutex
	queued  []byte
	spare   []byte
	writing bool
	err     error
}

// NewWriter returns a Writer to w. before, unless nil, is called before each write: to set a deadline.
func NewWriter(w io.Writer, before func()) *Writer {
	return &Writer{w: w, before: before}
}

// Send queues m, and writes it and all else that is queued unless another goroutine is writing already. An error is
// the connection's and final: the first Send to meet it and all after it return it. A nil error does not mean that m
// has been written, when another goroutine does the writing.
func (w *Writer) Send(m *wire.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.queued = wire.AppendMessage(w.queued, m)
	if w.writing {
		return nil
	}
	w.writing = true
	for len(w.queued) > 0 && w.err == nil {
		out := w.queued
		w.queued = w.spare[:0]
		w.mu.Unlock()
		if w.before != nil {
			w.before()
		}
		_, err := w.w.Write(out)
		w.mu.Lock()
		w.err = err
		w.spare = nil
		if cap(out) <= keepBuffer {
			w.spare = out[:0]
		}
	}
	w.writing = false
	return w.err
}
