package server

import (
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// start has an AsyncStore carry the request out.
func (r *request) start() {
	s := r.c.s
	if r.ctx.Err() != nil { // waited behind another for the same id until it was overdue
		r.finish(wire.Disconnected, nil)
		r.c.flushSoon()
		return
	}
	s.async.Start(&r.Request, r.ctx.deadline, r)
}

// Done implements [store.Completion].
func (r *request) Done(result store.Result) {
	status, data := r.c.s.outcome(r.op, result)
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
