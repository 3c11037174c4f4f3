package server

import (
	"time"

	"github.com/distcache/distcache/wire"
)

// A Starter is a [Store] that carries requests out without a goroutine that waits for each, as one does that sends them
// on to another server. The listener then calls Start instead of the Store's methods.
//
// Start begins a request and returns without waiting for its end. Then, or before it returns, done is told how the
// request ended: exactly once, on any goroutine, and soon after the deadline at the latest. The listener has answered
// Disconnected by itself then. What the errors mean is as in Store. The caller owns id and data again when Start has
// returned; the data of a Get are lent until Done returns. [Server.Close] does not wait for requests that have begun.
type Starter interface {
	Store
	Start(op wire.Op, id, data []byte, timeout time.Duration, deadline time.Time, done Completion)
}

// A Completion is told how a request ended. Done does not wait for the client: it may be called where that would hold
// up others.
type Completion interface {
	Done(data []byte, err error)
}

// start has a Starter carry the request out.
func (r *request) start() {
	s := r.c.s
	if r.ctx.Err() != nil { // waited behind another for the same id until it was overdue
		r.finish(wire.Disconnected, nil)
		r.c.flushSoon()
		return
	}
	s.starter.Start(r.op, r.id, r.data, r.timeout, r.ctx.deadline, r)
}

// Done implements [Completion].
func (r *request) Done(data []byte, err error) {
	status, data := r.c.s.outcome(r.op, data, err)
	r.finish(status, data)
	r.c.flushSoon()
}

// flushSoon writes what is there as far as the kernel takes it at once, and leaves the rest to a worker.
func (c *conn) flushSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing {
		return
	}
	c.writing = true
	for c.out != nil && c.broken == nil {
		out, n := c.out, c.outOpen
		c.out, c.outOpen = nil, 0
		c.mu.Unlock()
		taken := c.writeSome(*out)
		if taken < len(*out) {
			c.s.workers.run(&leftover{c: c, out: out, taken: taken, open: n})
			c.mu.Lock()
			return // writing stays set: the worker goes on
		}
		c.s.drop(out)
		c.mu.Lock()
		c.open -= n
		c.room.Signal()
	}
	c.writing = false
	c.room.Signal()
}

// writeSome hands b to the kernel as far as that is possible without waiting.
func (c *conn) writeSome(b []byte) (taken int) {
	if c.now == nil {
		return 0
	}
	taken = c.now.WriteNow(b)
	c.s.counters.bytesOut.Add(uint64(taken))
	return taken
}

// A leftover is what flushSoon could not write.
type leftover struct {
	c     *conn
	out   *[]byte
	taken int
	open  int
}

// run writes it, and what has come after it.
func (l *leftover) run() {
	c := l.c
	err := c.write((*l.out)[l.taken:])
	if err == nil {
		err = c.nc.SetWriteDeadline(time.Time{}) // or writeSome would find it passed
	}
	c.s.drop(l.out)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open -= l.open
	if err != nil {
		c.breakOff(err)
	}
	c.writing = false
	c.flush()
}
