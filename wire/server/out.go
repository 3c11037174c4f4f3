package server

import (
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/distcache/distcache/wire"
)

const (
	// flushSize is how many bytes of answers the reader gathers, while more requests are there, before it writes.
	flushSize = 1 << 16
	// maxHeld is how many bytes of requests and answers a connection may hold before it isn't read any more, unless that
	// is too many for all together.
	maxHeld = 1 << 20
)

// respond appends an answer that the reading goroutine has found itself. It is written with those that follow, at
// the latest before the reader waits.
func (c *conn) respond(uid uint32, op wire.Op, status wire.Status, data []byte, arrival time.Time) {
	c.s.count(op, status, arrival)
	c.mu.Lock()
	c.append(uid, op, status, data)
	if c.outLen() >= flushSize {
		c.flush()
	}
	c.mu.Unlock()
}

// append adds an answer's frames to those to be written. The caller holds mu.
func (c *conn) append(uid uint32, op wire.Op, status wire.Status, data []byte) {
	if c.s.cfg.IdleTimeout > 0 {
		c.answered = time.Now()
	}
	if c.broken != nil {
		return
	}
	if c.out == nil {
		c.out = getAnswers()
	}
	var one [1]byte
	if op != wire.OpGet || status != wire.OK {
		one[0] = byte(status)
		data = one[:]
	}
	m := wire.Message{Response: true, UID: uid, Class: wire.ClassUser, Op: op, Payload: data}
	before := len(*c.out)
	*c.out = wire.AppendMessage(*c.out, &m)
	if c.s.counters.untaken.Add(int64(len(*c.out)-before)) > int64(c.s.cfg.MaxUntaken) && len(*c.out) > c.s.share(c.s.cfg.MaxUntaken) {
		c.s.counters.stalled.Add(1)
		c.s.badPeers.Warn("connection closed", "remote", remote(c.nc), "reason", "answers not taken, and too many wait", "bytes", len(*c.out))
		c.breakOff(errUntaken)
	}
}

// drop gives back the memory of answers that have been written, or never will be.
func (s *Server) drop(out *[]byte) {
	s.counters.untaken.Add(-int64(len(*out)))
	putAnswers(out)
}

// share is how many bytes one connection may hold when there are more than limit in all.
func (s *Server) share(limit int) int {
	return max(flushSize, limit/int(max(1, s.counters.connections.Load())))
}

func (c *conn) outLen() int {
	if c.out == nil {
		return 0
	}
	return len(*c.out)
}

// flushNow writes what is there. With requests at workers it may leave that to the one of them who is writing.
func (c *conn) flushNow() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	return c.broken
}

// flushTogether is flushNow for a worker. While other requests of the connection are with workers, it lets those that can
// run finish first: a store often has the answers to many at the same moment, and then they go out in one write.
func (c *conn) flushTogether() {
	c.mu.Lock()
	others := c.open > c.outOpen
	c.mu.Unlock()
	if others {
		runtime.Gosched()
	}
	c.flushNow()
}

// flush writes answers until there are none, unless somebody else is doing so. The caller holds mu, which is let go
// for the writing.
func (c *conn) flush() {
	if c.writing {
		return
	}
	c.writing = true
	for c.out != nil && c.broken == nil {
		out, n := c.out, c.outOpen
		c.out, c.outOpen = nil, 0
		c.mu.Unlock()
		err := c.write(*out)
		c.s.drop(out)
		c.mu.Lock()
		c.open -= n
		if err != nil {
			c.breakOff(err)
		}
		c.room.Signal()
	}
	c.writing = false
	c.room.Signal()
}

// write hands b to the kernel, a piece at a time so that the deadline is one for a piece.
func (c *conn) write(b []byte) error {
	for len(b) > 0 {
		c.nc.SetWriteDeadline(time.Now().Add(c.s.cfg.WriteTimeout))
		n, err := c.nc.Write(b[:min(len(b), flushSize)])
		c.s.counters.bytesOut.Add(uint64(n))
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.s.counters.stalled.Add(1)
				c.s.badPeers.Warn("connection closed", "remote", remote(c.nc), "reason", "answers not taken in time", "after", c.s.cfg.WriteTimeout)
			}
			return err
		}
		b = b[n:]
	}
	return nil
}

// breakOff gives the connection up: nothing more is written, and the reader is woken. The caller holds mu.
func (c *conn) breakOff(err error) {
	if c.broken != nil {
		return
	}
	c.broken = err
	if c.out != nil {
		c.s.drop(c.out)
		c.open -= c.outOpen
		c.out, c.outOpen = nil, 0
	}
	c.nc.Close()
	c.room.Signal()
}
