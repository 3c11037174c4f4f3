package client

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/distcache/distcache/wire"
)

// maxWrite is how much goes into one write, at the least one request.
const maxWrite = 64 << 10

// readBuffer takes the answers to many requests at once, and serves the wire.Reader in place of a smaller one of its
// own.
const readBuffer = 32 << 10

// A written is where a request starts in the bytes of the write that is under way.
type written struct {
	uid   uint32
	start int
}

// enqueue gives the call a uid and a place in the queue, and sees to it that the queue is written.
func (c *Conn) enqueue(k *call, payload []byte) (uint32, error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return 0, c.notSent()
	}
	for c.uid++; c.pending[c.uid] != nil; c.uid++ { // 2^32 requests later one may still wait
	}
	uid := c.uid
	k.uid = uid
	k.frames = wire.AppendMessage(k.frames[:0], &wire.Message{UID: uid, Class: c.rules.Class, Op: k.op, Payload: payload})
	c.pending[uid] = k
	c.queue.add(k)
	switch {
	case c.writer.Busy():
	case c.owed == 0: // the first in a while, with which none can share a write: no other goroutine need wake for it
		if !c.writer.FlushNow() || c.err != nil {
			c.running.Go(c.write)
		}
	default:
		c.writer.Claim()
		c.running.Go(func() {
			runtime.Gosched() // others that can run may add to the first write
			c.write()
		})
	}
	c.mu.Unlock()
	return uid, nil
}

// write writes what is queued until nothing is, and ends all requests when the connection is lost. It runs in a
// goroutine of its own, that lives as long as there is something to write, so that no caller is held in a write past
// the end of its context.
func (c *Conn) write() {
	c.mu.Lock()
	c.writer.Resume()
	if c.err != nil {
		c.failAll() // unlocks
	} else {
		c.mu.Unlock()
	}
}

// A source is the Conn as its Writer sees it.
type source struct{ *Conn }

// Take moves requests from the queue to the next write.
func (c source) Take() []byte {
	if c.err != nil || c.queue.First() == nil {
		return nil
	}
	if cap(c.out) > 2*maxWrite {
		c.out = nil
	}
	c.out, c.batch = c.out[:0], c.batch[:0]
	for k := c.queue.First(); k != nil && (len(c.out) == 0 || len(c.out)+len(k.frames) <= maxWrite); k = c.queue.First() {
		c.queue.remove(k)
		c.batch = append(c.batch, written{uid: k.uid, start: len(c.out)})
		c.out = append(c.out, k.frames...)
	}
	if c.owed == 0 {
		c.owedFrom = time.Now()
	}
	c.owed += len(c.batch)
	return c.out
}

// Wrote notes which requests of a write that failed did not begin to go out.
func (c source) Wrote(n int, err error) {
	if err == nil {
		return
	}
	for _, w := range c.batch {
		if k := c.pending[w.uid]; k != nil && w.start >= n {
			k.unsent = true
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the peer took nothing for %v: %w", c.writeTimeout, err)
	}
	c.lose(err)
}

// read takes answers off the connection until it is lost.
func (c *Conn) read() {
	r := wire.NewReader(bufio.NewReaderSize(c.nc, readBuffer), c.rules)
	var m wire.Message
	for {
		if err := r.Read(&m); err != nil {
			if errors.Is(err, io.EOF) {
				err = errPeerClosed
			}
			c.fail(err)
			return
		}
		c.heard.Store(true)
		c.lastHeard.Store(int64(time.Since(c.made)))
		k, err := c.answered(&m)
		if err != nil {
			c.fail(err)
			return
		}
		if k != nil {
			<-c.slots
			c.finish(k, m.Payload, nil)
		}
		if cap(m.Payload) > 2*wire.MaxPayload {
			m.Payload = nil
		}
	}
}

// answered finds the call that an answer belongs to; nil when its caller has given up.
func (c *Conn) answered(m *wire.Message) (*call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owed = max(0, c.owed-1)
	k := c.pending[m.UID]
	switch {
	case k == nil:
		return nil, nil
	case k.queued:
		return nil, fmt.Errorf("%w: answer to a request that was not sent", wire.ErrCorrupt)
	case k.op != m.Op:
		return nil, fmt.Errorf("%w: answer for operation %d to a request for operation %d", wire.ErrCorrupt, m.Op, k.op)
	}
	delete(c.pending, m.UID)
	return k, nil
}

// fail marks the connection lost, the first time, and ends its requests. While a write is under way that is left to
// who writes, who then learns how much of it went out.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.lose(err) && !c.writer.Busy() {
		c.failAll() // unlocks
		return
	}
	c.mu.Unlock()
	_ = c.nc.Close() // ends the read and the write under way
}

// lose marks the connection lost, unless it was. The caller holds the lock.
func (c *Conn) lose(err error) bool {
	if c.err != nil {
		return false
	}
	c.err = err
	close(c.done)
	return true
}

// failAll ends every pending request with what is known of its fate. It is called with the lock held and releases it.
func (c *Conn) failAll() {
	lost := fmt.Errorf("%w: %w", ErrLost, c.err)
	notSent := fmt.Errorf("%w: %w", ErrNotSent, c.err)
	pending := c.pending
	c.pending, c.queue = nil, queue{}
	c.mu.Unlock()
	_ = c.nc.Close()
	for _, k := range pending {
		<-c.slots
		if k.queued || k.unsent {
			c.finish(k, nil, notSent)
		} else {
			c.finish(k, nil, lost)
		}
	}
}
