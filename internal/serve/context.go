package serve

import (
	"context"
	"sync"
	"time"
)

// A Context is the context of a request. It is done at the deadline, when the server is closed, or when the request has
// been carried out. Unless Done is called, it costs no timer and no channel.
type Context struct {
	deadline time.Time
	// watched says that the Conn calls end at the deadline; otherwise Done sets a timer.
	watched bool

	mu    sync.Mutex
	done  chan struct{}
	timer *time.Timer
	err   error
}

var _ context.Context = (*Context)(nil)

func (c *Context) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *Context) Value(any) any { return nil }

func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		} else if !c.watched {
			c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.end(context.DeadlineExceeded) })
		}
	}
	return c.done
}

func (c *Context) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !time.Now().Before(c.deadline) {
		c.endLocked(context.DeadlineExceeded)
	}
	return c.err
}

// Cancel ends the context. It is called when the request has been carried out.
func (c *Context) Cancel() { c.end(context.Canceled) }

// end ends the context, with err unless it has ended before.
func (c *Context) end(err error) {
	c.mu.Lock()
	c.endLocked(err)
	c.mu.Unlock()
}

func (c *Context) endLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
}
