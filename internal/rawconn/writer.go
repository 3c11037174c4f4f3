package rawconn

import (
	"io"
	"runtime"
	"sync"
	"time"
)

// writeSize is the most that is written under one deadline.
const writeSize = 1 << 16

// A Destination is the connection that a [Writer] writes to: the part of net.Conn that it needs.
type Destination interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}

// A Source has what a [Writer] is to write. Its methods are called with the Writer's lock held.
type Source interface {
	// Take returns what to write next, nil for nothing. The bytes must not change until Wrote is called.
	Take() []byte
	// Wrote says how many bytes of what Take returned have been written. After an error, which is the connection's,
	// Take must return nil.
	Wrote(n int, err error)
}

// A Writer lets many goroutines write to one connection, without a goroutine for writing. A goroutine that finds the
// connection free writes, also what others add in the meantime. A Writer shares a lock with its owner. All methods are
// called with the lock held, and release it while they write.
type Writer struct {
	nc      Destination
	now     interface{ WriteNow(b []byte) int } // nc, if it has WriteNow
	timeout time.Duration                       // for the peer to take writeSize
	mu      sync.Locker
	src     Source

	busy    bool // a goroutine writes, or is about to
	out     []byte
	written int // of out
}

// Init makes the Writer ready. The peer may take timeout for each 64 KiB. mu is the lock.
func (w *Writer) Init(nc Destination, timeout time.Duration, mu sync.Locker, src Source) {
	w.nc, w.timeout, w.mu, w.src = nc, timeout, mu, src
	w.now, _ = nc.(interface{ WriteNow(b []byte) int })
}

// Busy tells whether a goroutine writes.
func (w *Writer) Busy() bool { return w.busy }

// Claim makes the caller the one who writes, unless another goroutine does. After a successful Claim the caller must
// call Resume.
func (w *Writer) Claim() bool {
	claimed := !w.busy
	w.busy = true
	return claimed
}

// Flush writes until there is nothing to write, unless another goroutine writes.
func (w *Writer) Flush() {
	if w.Claim() {
		w.Resume()
	}
}

// Gather is Flush, but first lets other goroutines run: they may add to the first write.
func (w *Writer) Gather() {
	if w.Claim() {
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
		w.Resume()
	}
}

// FlushNow writes what the kernel takes without waiting. The result is false when something is left: then the caller
// must have Resume called, by a goroutine that may wait for the peer.
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

// Resume writes until there is nothing to write. It is called after Claim, or after FlushNow has returned false.
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
			_ = w.nc.SetWriteDeadline(time.Time{}) // a deadline that has passed would stop WriteNow
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
