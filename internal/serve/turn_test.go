package serve

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
)

// An endlessConn always has another request to read, and takes all answers.
type endlessConn struct {
	net.Conn
	request []byte
	over    int // bytes of the last request that are still to be read
	read    *atomic.Int64
}

func (c *endlessConn) Read(p []byte) (n int, err error) {
	for n < len(p) {
		from := len(c.request) - c.over
		k := copy(p[n:], c.request[from:])
		n += k
		if c.over -= k; c.over == 0 {
			c.over = len(c.request)
		}
	}
	c.read.Add(int64(n))
	return n, nil
}

func (c *endlessConn) Write(p []byte) (int, error) { return len(p), nil }

// A connection that never runs dry leaves others their turns: it is not served for as long as the scheduler lets it.
func TestEndlessConnectionTakesTurns(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s, err := New(newLines().config())
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	var read atomic.Int64
	request := []byte("say something\n")
	done := make(chan error)
	go func() {
		done <- s.ServeConn(&endlessConn{Conn: theirs, request: request, over: len(request), read: &read})
	}()
	for read.Load() == 0 {
		runtime.Gosched()
	}
	before := read.Load()
	const turns = 1000
	for range turns {
		runtime.Gosched()
	}
	// What is read ahead, 64 KiB at most, comes on top.
	if requests := (read.Load() - before) / int64(len(request)); requests > 2*turns*turnMessages+1<<16 {
		t.Errorf("%d requests in %d turns", requests, turns)
	}
	s.abort()
	<-done
}
