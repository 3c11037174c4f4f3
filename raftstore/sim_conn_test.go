package raftstore

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A simConn is one end of a simulated connection. One goroutine may read from it, and any number write to it, at a
// time. A write never waits.
type simConn struct {
	port   *port
	shared *sharedConn
	remote string
	in     *pipe
	out    *pipe
	peer   *simConn
	dialed bool
	silent bool // its machine has lost its power: guarded by the fabric's mu
	closed atomic.Bool
}

// A sharedConn is what both ends know.
type sharedConn struct {
	first atomic.Int32 // the first byte that was sent: what the connection is for
}

// Read is net.Conn's.
func (c *simConn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write is net.Conn's.
func (c *simConn) Write(b []byte) (int, error) {
	if c.closed.Load() || c.port.dead.Load() {
		return 0, net.ErrClosed
	}
	if len(b) == 0 {
		return 0, nil
	}
	if c.dialed && c.shared.first.CompareAndSwap(0, int32(b[0])) {
		return len(b), c.out.write(b, 0, nil) // the greeting
	}
	var delay time.Duration
	r := c.out.link.rule.Load()
	if r != nil && r.kinds&c.kindOf(b) != 0 && len(b) >= r.least {
		f := c.port.f
		f.mu.Lock()
		delay = r.delay
		if r.jitter > 0 {
			delay += time.Duration(f.rng.Int64N(int64(r.jitter)))
		}
		if f.rng.Float64() < r.stalls {
			delay += r.stall
		}
		if f.rng.Float64() < r.resets {
			c.reset(syscall.ECONNRESET)
			c.peer.reset(syscall.ECONNRESET)
		}
		f.mu.Unlock()
		if !r.retains {
			r = nil
		}
	} else {
		r = nil
	}
	return len(b), c.out.write(b, delay, r)
}

// reset breaks this end.
func (c *simConn) reset(err error) {
	c.in.fail(err)
	c.out.fail(err)
}

// Close is net.Conn's. What has been written still arrives.
func (c *simConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.in.fail(net.ErrClosed)
	c.out.end()
	c.port.f.mu.Lock()
	delete(c.port.f.conns, c)
	c.port.f.mu.Unlock()
	return nil
}

// LocalAddr is net.Conn's.
func (c *simConn) LocalAddr() net.Addr { return simAddr(c.port.machine) }

// RemoteAddr is net.Conn's.
func (c *simConn) RemoteAddr() net.Addr { return simAddr(c.remote) }

// SetDeadline is net.Conn's.
func (c *simConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline is net.Conn's.
func (c *simConn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	c.in.deadline = t
	c.in.mu.Unlock()
	c.in.nudge()
	return nil
}

// SetWriteDeadline is net.Conn's: no write waits.
func (c *simConn) SetWriteDeadline(time.Time) error { return nil }

// A pipe is one direction of a connection.
type pipe struct {
	link *link
	wake chan struct{}

	mu       sync.Mutex
	chunks   []chunk
	last     time.Time // when the newest chunk is due
	ended    bool      // by the writer
	err      error     // of both sides
	deadline time.Time // of the reader
}

// A chunk is what one write wrote.
type chunk struct {
	b       []byte
	written time.Time
	due     time.Time
	until   *rule // kept back as long as this is the link's rule
}

func newPipe(l *link) *pipe { return &pipe{link: l, wake: make(chan struct{}, 1)} }

func (p *pipe) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pipe) write(b []byte, delay time.Duration, until *rule) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	now := time.Now()
	due := now.Add(delay)
	if due.Before(p.last) {
		due = p.last
	}
	p.last = due
	p.chunks = append(p.chunks, chunk{append([]byte(nil), b...), now, due, until})
	p.nudge()
	return nil
}

// end has the reader find the end, behind what was written.
func (p *pipe) end() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.nudge()
}

// fail has nothing more come through.
func (p *pipe) fail(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.chunks = nil
	p.mu.Unlock()
	p.nudge()
}

// waitsSince tells whether something has not been taken since then.
func (p *pipe) waitsSince(t time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.chunks) > 0 && p.chunks[0].due.Before(t)
}

func (p *pipe) read(b []byte) (int, error) {
	for {
		n, wait, err := p.take(b)
		if n > 0 || err != nil {
			return n, err
		}
		if wait < 0 {
			<-p.wake
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-p.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// take reads what there is; wait is how long to wait for more, -1 for as long as need be.
func (p *pipe) take(b []byte) (n int, wait time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, 0, p.err
	}
	wait = -1
	if !p.deadline.IsZero() {
		if wait = time.Until(p.deadline); wait <= 0 {
			return 0, 0, os.ErrDeadlineExceeded
		}
	}
	if p.link.blocked() {
		return 0, wait, nil
	}
	rule := p.link.rule.Load()
	for len(p.chunks) > 0 && n < len(b) {
		c := &p.chunks[0]
		if c.until != nil && c.until == rule {
			break
		}
		if left := time.Until(c.due); left > 0 {
			if wait < 0 || left < wait {
				wait = left
			}
			break
		}
		k := copy(b[n:], c.b)
		n += k
		if c.b = c.b[k:]; len(c.b) == 0 {
			p.chunks = p.chunks[1:]
		}
	}
	if n == 0 && len(p.chunks) == 0 && p.ended {
		return 0, 0, io.EOF
	}
	return n, wait, nil
}
