package rawconn

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// An outlet takes some bytes at once, and the rest in Write.
type outlet struct {
	mu    sync.Mutex
	got   []byte
	room  int // for WriteNow
	fail  error
	until time.Time
}

func (o *outlet) WriteNow(b []byte) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(b), o.room)
	if !o.until.IsZero() {
		n = 0 // as with a deadline that has passed
	}
	o.room -= n
	o.got = append(o.got, b[:n]...)
	return n
}

func (o *outlet) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.fail != nil:
		return 1, o.fail
	case o.until.IsZero():
		return 0, errors.New("no deadline")
	case len(b) > writeSize:
		return 0, errors.New("too much at once")
	}
	o.got = append(o.got, b...)
	return len(b), nil
}

func (o *outlet) SetWriteDeadline(t time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.until = t
	return nil
}

// A talk is a Source to which several goroutines add.
type talk struct {
	mu    sync.Mutex
	w     Writer
	next  []byte
	taken int
	wrote int
	err   error
}

func (k *talk) Take() []byte {
	if k.err != nil || len(k.next) == 0 {
		return nil
	}
	b := k.next
	k.next, k.taken = nil, len(b)
	return b
}

func (k *talk) Wrote(n int, err error) {
	k.wrote += n
	if k.err = err; err == nil && n != k.taken {
		k.err = fmt.Errorf("%d bytes written of %d, no error", n, k.taken)
	}
}

// What many goroutines add goes out whole and in order, in whichever way it is written.
func TestWriter(t *testing.T) {
	o, k := new(outlet), new(talk)
	k.w.Init(o, time.Minute, &k.mu, k)
	var want []byte
	var wg sync.WaitGroup
	for n := range 3000 {
		wg.Go(func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			said := make([]byte, 1+n*7)
			for i := range said {
				said[i] = byte(n)
			}
			k.next, want = append(k.next, said...), append(want, said...)
			switch n % 3 {
			case 0:
				k.w.Flush()
			case 1:
				k.w.Gather()
			case 2:
				o.mu.Lock()
				o.room = n
				o.mu.Unlock()
				if !k.w.FlushNow() {
					wg.Go(func() {
						k.mu.Lock()
						defer k.mu.Unlock()
						k.w.Resume()
					})
				}
			}
		})
	}
	wg.Wait()
	if k.err != nil || k.wrote != len(want) || string(o.got) != string(want) {
		t.Errorf("%d bytes arrived, %d were counted, of %d; %v", len(o.got), k.wrote, len(want), k.err)
	}
	if k.w.Busy() {
		t.Error("busy in the end")
	}
}

// An error is reported with the number of bytes written before it, and ends the writing.
func TestWriterFails(t *testing.T) {
	o, k := &outlet{fail: os.ErrDeadlineExceeded}, &talk{next: make([]byte, 3*writeSize)}
	k.w.Init(o, time.Minute, &k.mu, k)
	k.mu.Lock()
	defer k.mu.Unlock()
	o.room = 10
	if k.w.FlushNow() {
		t.Error("all was taken")
	}
	k.w.Resume()
	if k.err != os.ErrDeadlineExceeded || k.wrote != 11 || k.w.Busy() {
		t.Errorf("%d bytes, %v, busy %v", k.wrote, k.err, k.w.Busy())
	}
	k.next = []byte("more")
	if k.w.Flush(); k.wrote != 11 {
		t.Error("it goes on")
	}
}
