package server

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/distcache/distcache/internal/linked"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// A request is one that a worker carries out. The fields from state on are under the connection's mu.
type request struct {
	store.Request
	c       *conn
	uid     uint32
	op      wire.Op
	buf     *[]byte // the payload, which ID and Data are parts of
	arrival time.Time
	key     uint64 // of the id, in conn.tails
	ctx     callContext

	answered bool
	after    *request // the next for the same id, which waits for this one

	linked.Links[request] // in conn.requests
}

// dispatch gives the request that has been read to a worker, or queues it behind the one for the same id.
func (c *conn) dispatch(asked store.Request) {
	s := c.s
	if s.counters.inFlight.Add(1) > int64(s.cfg.MaxRequests) {
		s.counters.inFlight.Add(-1)
		s.counters.overloaded.Add(1)
		s.tooMany.Warn("request refused: too many are in flight", "limit", s.cfg.MaxRequests)
		c.respond(c.msg.UID, c.msg.Op, wire.Disconnected, nil, c.arrival)
		return
	}
	*c.buf = c.msg.Payload
	r := &request{
		Request: asked, c: c, uid: c.msg.UID, op: c.msg.Op, buf: c.buf,
		arrival: c.arrival, key: maphash.Bytes(s.seed, asked.ID),
	}
	r.ctx.deadline = r.arrival.Add(s.cfg.RequestTimeout)
	r.ctx.watched = true
	c.buf, c.msg.Payload = nil, nil
	c.shared = true

	c.mu.Lock()
	c.open++
	c.held += len(*r.buf)
	s.counters.held.Add(int64(len(*r.buf)))
	c.requests.Push(r)
	if !c.armed {
		c.arm(r.ctx.deadline)
	}
	if c.tails == nil {
		c.tails = make(map[uint64]*request)
	}
	tail := c.tails[r.key]
	c.tails[r.key] = r
	if tail != nil {
		tail.after = r
	}
	c.mu.Unlock()
	if tail == nil {
		r.begin()
	}
}

// isOpen tells whether a request for the id is with a worker, so that another one must wait for it. Ids whose hashes
// are the same are taken for one, which does no harm.
func (c *conn) isOpen(id []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tails) > 0 && c.tails[maphash.Bytes(c.s.seed, id)] != nil
}

// run carries the request out.
func (r *request) run() {
	status, data := wire.Disconnected, []byte(nil)
	if r.ctx.Err() == nil {
		status, data = r.c.s.outcome(r.op, store.Do(&r.ctx, r.c.s.cfg.Store, &r.Request))
	}
	r.finish(status, data)
	r.c.flushTogether()
}

// finish appends the answer to those to be written, and lets the next request for the same id go on.
func (r *request) finish(status wire.Status, data []byte) {
	c, s := r.c, r.c.s
	r.ctx.finish(context.Canceled)
	c.mu.Lock()
	c.held -= len(*r.buf)
	s.counters.held.Add(-int64(len(*r.buf)))
	after := r.after
	if after == nil {
		delete(c.tails, r.key)
	}
	c.answer(r, status, data)
	c.mu.Unlock()
	putBuffer(r.buf)
	s.counters.inFlight.Add(-1)
	if after != nil {
		after.begin()
	}
}

// begin has the request carried out, by a worker unless the store needs none.
func (r *request) begin() {
	if r.c.s.async != nil {
		r.start()
	} else {
		r.c.s.workers.run(r)
	}
}

// answer appends the answer to a request, unless it has had one. The caller holds mu.
func (c *conn) answer(r *request, status wire.Status, data []byte) {
	if r.answered {
		return
	}
	r.answered = true
	c.requests.Remove(r)
	c.s.count(r.op, status, r.arrival)
	c.append(r.uid, r.op, status, data)
	if c.broken != nil {
		c.open--
		c.room.Signal()
		return
	}
	c.outOpen++
}

// arm sets the timer for the time when the oldest request is due. The caller holds mu.
func (c *conn) arm(due time.Time) {
	c.armed = true
	if c.timer == nil {
		c.timer = time.AfterFunc(time.Until(due), c.expire)
	} else {
		c.timer.Reset(time.Until(due))
	}
}

// expire answers the requests that are overdue and ends their contexts. The store may still be busy with them; what
// it comes up with is dropped.
func (c *conn) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = false
	now := time.Now()
	for r := c.requests.First(); r != nil; r = c.requests.First() {
		if r.ctx.deadline.After(now) {
			c.arm(r.ctx.deadline)
			break
		}
		r.ctx.finish(context.DeadlineExceeded)
		c.answer(r, wire.Disconnected, nil)
	}
	c.flush()
}
