package peernet

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/distcache/distcache/internal/rawconn"
	"github.com/distcache/distcache/wire"
)

// keepBuffer is the largest buffer a Writer keeps when there is nothing to write.
const keepBuffer = 16 << 10

// maxQueued is the most bytes that may wait for a write to end. The answers to all requests that a node has in flight
// fit in, unless most answers are large.
const maxQueued = 32 << 20

// ErrSlowPeer is the error of a Writer whose peer reads more slowly than messages are sent.
var ErrSlowPeer = errors.New("the peer does not take its messages")

// A Writer sends messages. Any number of goroutines may use it: messages that come while one is being written go out
// together. At the first error the Writer closes the connection, so that its reader finds out too.
type Writer struct {
	nc    io.Closer
	limit int // bytes that may be queued

	mu     sync.Mutex
	out    rawconn.Writer
	queued []byte
	taken  []byte // being written
	spare  []byte
	err    error
}

// NewWriter returns a Writer to nc, whose peer may take timeout for each 64 KiB.
func NewWriter(nc interface {
	rawconn.Destination
	io.Closer
}, timeout time.Duration) *Writer {
	w := &Writer{nc: nc, limit: maxQueued}
	w.out.Init(nc, timeout, &w.mu, source{w})
	return w
}

// Send queues m, and writes all queued messages unless another goroutine is writing. Errors are final. A nil error does
// not mean that m has been written: another goroutine may still be writing.
func (w *Writer) Send(m *wire.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue(m)
	w.out.Gather()
	return w.err
}

// Queue is Send for those who may not wait for the peer: another goroutine writes what the kernel does not take at
// once.
func (w *Writer) Queue(m *wire.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue(m)
	if !w.out.FlushNow() {
		go func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.out.Resume()
		}()
	}
	return w.err
}

// queue adds a message. Called with mu held.
func (w *Writer) queue(m *wire.Message) {
	if w.err != nil {
		return
	}
	w.queued = wire.AppendMessage(w.queued, m)
	if len(w.queued) > w.limit {
		w.failed(ErrSlowPeer)
	}
}

// A source is the Writer as the one beneath sees it.
type source struct{ *Writer }

func (w source) Take() []byte {
	if len(w.queued) == 0 {
		return nil
	}
	w.taken, w.queued, w.spare = w.queued, w.spare[:0], nil
	return w.taken
}

func (w source) Wrote(_ int, err error) {
	if cap(w.taken) <= keepBuffer {
		w.spare = w.taken[:0]
	}
	w.taken = nil
	if err != nil {
		w.failed(err)
	}
}

// failed records the first error and closes the connection. Called with mu held.
func (w *Writer) failed(err error) {
	if w.err != nil {
		return
	}
	w.err, w.queued = err, nil
	w.nc.Close() // the error that counts is the first
}
