package serve

import (
	"errors"
	"os"
	"time"
)

const (
	// flushSize: while more requests are there, the reader gathers so many bytes of answers before it writes.
	flushSize = 1 << 16
	// maxHeld is how many bytes of requests and answers a connection may hold before it is no longer read, unless all
	// connections together hold too many.
	maxHeld = 1 << 20
)

// An outbox holds a connection's answers until the kernel has taken them. It is under the connection's mu.
type outbox struct {
	buf       *[]byte // answers not being written yet; nil for none
	open      int     // how many of calls.open have their answer in buf
	taken     *[]byte // answers being written
	takenOpen int     // as open, for taken
	late      int     // bytes of answers that wait for an earlier answer
	answered  time.Time
}

// size is how many bytes are waiting, and not being written.
func (o *outbox) size() int {
	if o.buf == nil {
		return o.late
	}
	return o.late + len(*o.buf)
}

// Answer answers the request that Next has taken. The answer is written with those that follow, and not later than when
// the reader waits.
func (c *Conn) Answer(a Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.broken != nil:
		a.AppendAnswer(nil) // still called: it may count the answer
	case c.s.cfg.Ordered && c.calls.list.First() != nil:
		k := &Call{c: c}
		c.calls.list.Push(k)
		c.calls.open++
		c.answer(k, a)
	default:
		c.append(a)
	}
	if c.out.size() >= flushSize && !c.short {
		c.writer.Flush()
	}
}

// answer takes the answer to a request that was begun, unless it is answered already. The caller holds mu.
func (c *Conn) answer(k *Call, a Answer) {
	if k.answered {
		return
	}
	k.answered = true
	list := &c.calls.list
	switch {
	case c.broken != nil:
		a.AppendAnswer(nil)
		list.Remove(k)
		c.calls.open--
		c.room.Signal()
	case c.s.cfg.Ordered && list.First() != k:
		k.late = getAnswers()
		c.encode(k.late, a)
	default:
		list.Remove(k)
		c.out.open++
		c.append(a)
		for next := list.First(); next != nil && next.answered; next = list.First() {
			list.Remove(next)
			c.out.open++
			c.out.late -= len(*next.late)
			*c.out.buf = append(*c.out.buf, *next.late...)
			putAnswers(next.late)
		}
	}
}

// append adds an answer to what is to be written. The caller holds mu.
func (c *Conn) append(a Answer) {
	if c.out.buf == nil {
		c.out.buf = getAnswers()
	}
	c.encode(c.out.buf, a)
}

// encode appends an answer to buf. If then too many bytes wait in the server, and this connection has more than its
// share, it gives the connection up. The caller holds mu.
func (c *Conn) encode(buf *[]byte, a Answer) {
	if c.s.cfg.IdleTimeout > 0 {
		c.out.answered = time.Now()
	}
	before := len(*buf)
	*buf = a.AppendAnswer(*buf)
	n := len(*buf) - before
	if buf != c.out.buf {
		c.out.late += n
	}
	limit := c.s.cfg.MaxUntaken
	if c.s.counters.untaken.Add(int64(n)) > int64(limit) && c.out.size() > c.s.share(limit) {
		c.s.counters.stalled.Add(1)
		c.logClosed(errUntaken, "bytes", c.out.size())
		c.breakOff(errUntaken)
	}
}

// drop gives back the memory of answers that have been written, or never will be.
func (s *Server) drop(out *[]byte) {
	s.counters.untaken.Add(-int64(len(*out)))
	putAnswers(out)
}

// share is how many bytes one connection may hold when all together hold more than limit.
func (s *Server) share(limit int) int {
	return max(flushSize, limit/int(max(1, s.counters.connections.Load())))
}

// flush writes what is there. While requests are under way, it may leave that to a goroutine that is writing.
func (c *Conn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writer.Flush()
	return c.broken
}

// flushTogether is flush, for a worker. While other workers carry out requests of the connection, it first lets those
// run that can: a store often has many answers at the same moment, which then go out in one write.
func (c *Conn) flushTogether() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.out.buf == nil: // another goroutine has written it
	case c.calls.open > c.out.open:
		c.writer.Gather()
	default:
		c.writer.Flush()
	}
}

// flushNow writes what the kernel takes without waiting, and leaves the rest to a worker.
func (c *Conn) flushNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.writer.FlushNow() {
		c.s.workers.run(rest{c})
	}
}

// A rest is the task of writing what flushNow could not write, and what was added since.
type rest struct{ c *Conn }

func (r rest) run() {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.writer.Resume()
}

// A source is a Conn as the Source of its Writer.
type source struct{ *Conn }

func (c source) Take() []byte {
	if c.out.buf == nil || c.broken != nil {
		return nil
	}
	c.out.taken, c.out.takenOpen = c.out.buf, c.out.open
	c.out.buf, c.out.open = nil, 0
	return *c.out.taken
}

func (c source) Wrote(n int, err error) {
	c.s.counters.bytesOut.Add(uint64(n))
	c.s.drop(c.out.taken)
	c.out.taken = nil
	c.calls.open -= c.out.takenOpen
	if errors.Is(err, os.ErrDeadlineExceeded) && c.broken == nil {
		c.s.counters.stalled.Add(1)
		c.logClosed(errSlow, "after", c.s.cfg.WriteTimeout)
	}
	if err != nil {
		c.breakOff(err)
	}
	c.room.Signal()
}

// breakOff gives the connection up: it wakes the reader, and nothing more is written. The caller holds mu.
func (c *Conn) breakOff(err error) {
	if c.broken != nil {
		return
	}
	c.broken = err
	if c.out.buf != nil {
		c.s.drop(c.out.buf)
		c.calls.open -= c.out.open
		c.out.buf, c.out.open = nil, 0
	}
	for k := c.calls.list.First(); k != nil; {
		next := c.calls.list.Next(k)
		if k.answered {
			c.calls.list.Remove(k)
			c.calls.open--
			c.out.late -= len(*k.late)
			c.s.drop(k.late)
		}
		k = next
	}
	c.nc.Close()
	c.room.Signal()
}
