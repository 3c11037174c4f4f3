package serve

import (
	"context"
	"time"

	"github.com/distcache/distcache/internal/linked"
)

// An Answer is an answer that encodes itself.
type Answer interface {
	// AppendAnswer appends the answer to dst; nothing, if there is none to give. It is called once. It is called with
	// the connection's lock held, so it must be quick and must not call the Conn.
	AppendAnswer(dst []byte) []byte
}

// A Request is a request that is carried out while its connection goes on. Its type embeds a [Call].
type Request interface {
	Answer
	// Do carries the request out, and sees to it that Call.Finish is called, in Do or later. With Config.Inline it must
	// not wait for anything. Do is not called if the request is overdue before its turn comes.
	Do(ctx context.Context)
	// AppendFailure appends the answer to a request that is overdue, or for which there is no room. It may be called
	// while Do runs. Otherwise it is as AppendAnswer, and only one of the two is called.
	AppendFailure(dst []byte) []byte

	call() *Call
}

// failure is the Answer of a request that was not carried out.
type failure struct{ Request }

func (f failure) AppendAnswer(dst []byte) []byte { return f.AppendFailure(dst) }

// A Call is what the Conn keeps for a request. The fields from answered on are under the connection's mu.
type Call struct {
	c       *Conn
	request Request
	kept    *[]byte // copy of a part of the request's message
	key     uint64  // in calls.tails
	ctx     Context

	answered bool
	late     *[]byte // the answer, while an earlier request's answer must go out first
	after    *Call   // the next request with the same key, which waits for this one

	linked.Links[Call] // in calls.list
}

func (k *Call) call() *Call { return k }

// calls are the requests of a connection that have been begun, under the connection's mu.
type calls struct {
	list  linked.List[Call, *Call] // requests not answered, in the order of arrival, which is that of their deadlines
	tails map[uint64]*Call         // the last request with each key
	timer *time.Timer              // fires at the oldest request's deadline
	armed bool
	open  int // requests whose answer the kernel has not taken
	held  int // bytes of messages that these requests keep
}

// Keep copies what a request needs of its message, joined, to memory that is the request's until it is finished. It may
// be called once, before Begin.
func (k *Call) Keep(parts ...[]byte) []byte {
	k.kept = getBuffer()
	for _, p := range parts {
		*k.kept = append(*k.kept, p...)
	}
	return *k.kept
}

// Deadline is when the request has to be answered.
func (k *Call) Deadline() time.Time { return k.ctx.deadline }

// Begin has a request carried out, after all that were begun with the same key.
func (c *Conn) Begin(r Request, key uint64) {
	s, k := c.s, r.call()
	k.c, k.request, k.key = c, r, key
	k.ctx.deadline, k.ctx.watched = c.deadline(), true
	if k.kept == nil {
		k.Keep()
	}
	if s.counters.inFlight.Add(1) > int64(s.cfg.MaxRequests) {
		s.counters.inFlight.Add(-1)
		s.counters.overloaded.Add(1)
		s.tooMany.Warn("request refused: too many are in flight", "limit", s.cfg.MaxRequests)
		putBuffer(k.kept)
		c.Answer(failure{r})
		return
	}
	c.shared = true

	c.mu.Lock()
	calls := &c.calls
	calls.open++
	calls.held += len(*k.kept)
	s.counters.held.Add(int64(len(*k.kept)))
	calls.list.Push(k)
	if !calls.armed {
		c.arm(k.ctx.deadline)
	}
	if calls.tails == nil {
		calls.tails = make(map[uint64]*Call)
	}
	tail := calls.tails[key]
	calls.tails[key] = k
	if tail != nil {
		tail.after = k
	}
	c.mu.Unlock()
	if tail == nil {
		k.begin()
	}
}

// HasBegun tells whether a request with this key has been begun and is not finished.
func (c *Conn) HasBegun(key uint64) bool {
	if !c.shared {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls.tails[key] != nil
}

// begin has the request carried out: by a worker, or at once with Config.Inline.
func (k *Call) begin() {
	if k.c.s.cfg.Inline {
		k.run()
	} else {
		k.c.s.workers.run(k)
	}
}

// run carries the request out, unless it became overdue while it waited for another with its key.
func (k *Call) run() {
	if k.ctx.Err() == nil {
		k.request.Do(&k.ctx)
	} else {
		k.finish(failure{k.request})
	}
}

// Finish says that the request has been carried out: its answer may be appended. Past the deadline the answer is
// dropped. With Config.Inline, Finish does not wait for the client.
func (k *Call) Finish() { k.finish(k.request) }

func (k *Call) finish(a Answer) {
	c, s := k.c, k.c.s
	k.ctx.Cancel()
	c.mu.Lock()
	c.calls.held -= len(*k.kept)
	s.counters.held.Add(-int64(len(*k.kept)))
	after := k.after
	if after == nil {
		delete(c.calls.tails, k.key)
	}
	c.answer(k, a)
	c.mu.Unlock()
	putBuffer(k.kept)
	s.counters.inFlight.Add(-1)
	if after != nil {
		after.begin()
	}
	if s.cfg.Inline {
		c.flushNow()
	} else {
		c.flushTogether()
	}
}

// arm sets the timer for the oldest request's deadline. The caller holds mu.
func (c *Conn) arm(due time.Time) {
	c.calls.armed = true
	if c.calls.timer == nil {
		c.calls.timer = time.AfterFunc(time.Until(due), c.expire)
	} else {
		c.calls.timer.Reset(time.Until(due))
	}
}

// expire answers the requests that are overdue and ends their contexts. The requests may still be being carried out;
// their results are dropped. expire writes nothing itself.
func (c *Conn) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls.armed = false
	now := time.Now()
	for k := c.calls.list.First(); k != nil; k = c.calls.list.First() {
		if k.ctx.deadline.After(now) {
			c.arm(k.ctx.deadline)
			break
		}
		k.ctx.end(context.DeadlineExceeded)
		c.answer(k, failure{k.request})
	}
	if c.out.buf != nil && c.writer.Claim() {
		c.s.workers.run(rest{c}) // for which Close waits, as it would not for the timer's goroutine
	}
}
