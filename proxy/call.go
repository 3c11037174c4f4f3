package proxy

import (
	"errors"
	"time"

	"github.com/distcache/distcache/internal/linked"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
	"github.com/distcache/distcache/wire/store"
)

// A call is one request under way. It belongs to whoever started it or took it off its link.
type call struct {
	p        *Proxy
	op       wire.Op
	payload  []byte
	id       [wire.MaxID]byte // payload's place, unless it is an ADD
	deadline time.Time
	done     store.Completion
	tries    int                 // before this one
	onReply  func([]byte, error) // the method reply, kept because each use of a method as a value allocates

	// Set by link.start.
	link *link
	uid  uint32
	slot int // of the link's wheel

	linked.Links[call] // in the link's wheel, under link.mu
}

// isRead tells whether the request only reads, so that it may be sent twice.
func (c *call) isRead() bool { return c.op == wire.OpGet || c.op == wire.OpHave }

// end ends the call with a status, without data.
func (c *call) end(status error) { c.done.Done(store.Result{Err: status}) }

// send sends the call on the link in use. If that link turns out to be lost, it tries the next.
func (p *Proxy) send(c *call) {
	for ; c.tries <= len(p.upstreams); c.tries++ {
		if c.tries > 0 && !time.Now().Before(c.deadline) {
			break
		}
		l := p.current.Load()
		if l == nil {
			break
		}
		err := l.start(c)
		if err == nil {
			return
		}
		if l.conn.Err() == nil {
			break // too many are under way
		}
		p.lost(l)
	}
	p.refused.Add(1)
	c.end(wire.Disconnected)
}

// reply is called by the connection with the answer, or with the reason why there is none.
func (c *call) reply(payload []byte, err error) {
	l := c.link
	l.remove(c)
	if err == nil {
		c.answer(l, payload)
		return
	}
	c.p.lost(l)
	c.retry(err)
}

// answer passes an answer on to whoever asked, or tries again.
func (c *call) answer(l *link, payload []byte) {
	var data []byte
	var err error
	if c.op == wire.OpGet {
		data, err = wire.ParseGet(payload)
	} else {
		err = wire.ParseStatus(payload)
	}
	switch {
	case errors.Is(err, wire.ErrCorrupt):
		l.conn.Abort(err)
		c.p.lost(l)
		c.retry(err)
	case err == wire.Disconnected:
		l.bad.Add(1)
		if c.isRead() && c.retryElsewhere(l) {
			return
		}
		c.end(err)
	default:
		l.good.Add(1)
		c.done.Done(store.Result{Data: data, Err: err})
	}
}

// retry sends the call again, after its connection was lost. A write of which the server may have received some has an
// unknown fate, and is not sent again.
func (c *call) retry(err error) {
	if !c.isRead() && !errors.Is(err, client.ErrNotSent) {
		c.p.unknown.Add(1)
		c.end(wire.Disconnected)
		return
	}
	c.p.retried.Add(1)
	c.tries++
	c.p.send(c)
}

// retryElsewhere sends the call to a server that is ready, other than that of l, which could not answer. The result is
// false if there is none.
func (c *call) retryElsewhere(l *link) bool {
	c.tries++
	if c.tries > len(c.p.upstreams) || !time.Now().Before(c.deadline) {
		return false
	}
	other := c.p.readyExcept(l.u)
	if other == nil || other.start(c) != nil {
		return false
	}
	c.p.retried.Add(1)
	return true
}
