package rawconn

import (
	"io"
	"runtime"
	"sync"
	"time"
)

// writeSize is the most that goes out under one deadline.
const writeSize = 1 << 16

// A Destination is the connection that a [Writer] writes to: a net.Conn has more.
type Destination interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}

// A Source has what a [Writer] is to write. Its methods are called with the lock held that Init was given.
type Source interface {
	// Take returns what to write next, nil when there is nothing. It is not to be touched until Wrote.
	Take() []byte
	// Wrote says how many bytes of what Take returned have been written. After an error, which is the connection's,
	// Take must return nil.
	Wrote(n int, err error)
}

// A Writer lets many goroutines write to one connection without one of its own for it: whoever finds the connection
// free writes, also what others add meanwhile, which goes out together. It shares a lock with its owner; all methods
// are called with that lock held, which they let go for the writing.
type Writer struct {
	nc      Destination
	now     interface{ WriteNow(b []byte) int } // nc, if it is one
	timeout time.Duration                       // for the peer to take writeSize
	mu      sync.Locker
	src     Source

	busy    bool // somebody writes, or is about to
	out     []byte
	written int // of out
}

// Init makes the Writer ready. A peer may take timeout for each 64 KiB.
func (w *Writer) Init(nc Destination, timeout time.Duration, mu sync.Locker, src Source) {
	w.nc, w.timeout, w.mu, w.src = nc, timeout, mu, src
	w.now, _ = nc.(interface{ WriteNow(b []byte) int })
}

// Busy tells whether somebody writes.
func (w *Writer) Busy() bool { return w.busy }

// Claim makes it the caller who writes, unless somebody else does. Whoever has the claim calls Resume.
func (w *Writer) Claim() bool {
	claimed := !w.busy
	w.busy = true
	return claimed
}

// Flush writes until there is nothing to write, unless somebody else does so.
func (w *Writer) Flush() {
	if w.Claim() {
		w.Resume()
	}
}

// Gather is Flush that first lets others run, who may add to the first write.
func (w *Writer) Gather() {
	if w.Claim() {
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
		w.Resume()
	}
}

// FlushNow writes as far as the kernel takes it at once. It is false when that was not all: then the caller has the
// claim, and has Resume called on a goroutine that may wait for the peer.
func (w *Writer) FlushNow() bool {
	if !w.Claim() {
		return true
	}
	for w.out = w.src.Take(); w.out != nil; w.out = w.src.Take() {
		w.written = 0
		if w.now != nil {
			w.mu.Unlock()
			w.written = w.now.WriteNow(w.out)
			w.mu.Lock()
		}
		if w.written < len(w.out) {
			return false
		}
		w.src.Wrote(w.written, nil)
	}
	w.busy = false
	return true
}

// Resume writes until there is nothing to write, for who has the claim, or goes on where FlushNow has returned false.
func (w *Writer) Resume() {
	rest := w.out != nil
	for {
		if w.out == nil {
			if w.out, w.written = w.src.Take(), 0; w.out == nil {
				break
			}
		}
		w.mu.Unlock()
		err := w.write()
		if rest && err == nil {
			rest = false
			_ = w.nc.SetWriteDeadline(time.Time{}) // or WriteNow takes nothing once it has passed; all has been written
		}
		w.mu.Lock()
		w.src.Wrote(w.written, err)
		w.out = nil
	}
	w.busy = false
}

func (w *Writer) write() error {
	for w.written < len(w.out) {
		if err := w.nc.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return err
		}
		n, err := w.nc.Write(w.out[w.written:min(len(w.out), w.written+writeSize)])
		w.written += n
		if err != nil {
			return err
		}
	}
	return nil
}
