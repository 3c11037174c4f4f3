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

// readBuffer takes the answers to many requests at once, and serves the wire.Reader in place of a smaller one of its own.
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
	case c.flushing:
		c.mu.Unlock()
	case c.owed == 0 && c.raw != nil:
		c.writeNow() // unlocks
	default:
		c.flushing = true
		c.running.Go(c.flush)
		c.mu.Unlock()
	}
	return uid, nil
}

// flush writes what is queued until nothing is. It runs in a goroutine of its own, that lives as long as there is
// something to write, so that no caller is held in a write past the end of its context.
func (c *Conn) flush() {
	runtime.Gosched() // others that can run may add to the first write
	for {
		c.mu.Lock()
		switch {
		case c.err != nil:
			c.flushing = false
			c.markUnsent()
			c.failAll() // unlocks
			return
		case c.wrote < len(c.out): // left over by writeNow
		case c.queue.First() == nil:
			c.flushing = false
			c.mu.Unlock()
			return
		default:
			c.fill()
		}
		c.mu.Unlock()
		err := c.nc.SetWriteDeadline(time.Now().Add(c.writeTimeout))
		if err == nil {
			var n int
			n, err = c.nc.Write(c.out[c.wrote:])
			c.wrote += n
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("the peer took nothing for %v: %w", c.writeTimeout, err)
			}
			c.fail(err)
		}
	}
}

// fill moves requests from the queue to the next write.
func (c *Conn) fill() {
	if cap(c.out) > 2*maxWrite {
		c.out = nil
	}
	c.out, c.batch, c.wrote = c.out[:0], c.batch[:0], 0
	for k := c.queue.First(); k != nil && (len(c.out) == 0 || len(c.out)+len(k.frames) <= maxWrite); k = c.queue.First() {
		c.queue.remove(k)
		c.batch = append(c.batch, written{uid: k.uid, start: len(c.out)})
		c.out = append(c.out, k.frames...)
	}
	if c.owed == 0 {
		c.owedFrom = time.Now()
	}
	c.owed += len(c.batch)
}

// markUnsent notes which requests of a write that failed did not begin to go out. The caller holds the lock.
func (c *Conn) markUnsent() {
	if c.wrote == len(c.out) {
		return
	}
	for _, w := range c.batch {
		if k := c.pending[w.uid]; k != nil && w.start >= c.wrote {
			k.unsent = true
		}
	}
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
// flush, which then learns how much of it went out.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	close(c.done)
	if c.flushing {
		c.mu.Unlock()
	} else {
		c.failAll() // unlocks
	}
	_ = c.nc.Close() // ends the read and the write under way
}

// failAll ends every pending request with what is known of its fate. It is called with the lock held and releases it.
func (c *Conn) failAll() {
	lost := fmt.Errorf("%w: %w", ErrLost, c.err)
	notSent := fmt.Errorf("%w: %w", ErrNotSent, c.err)
	pending := c.pending
	c.pending, c.queue = nil, queue{}
	c.mu.Unlock()
	for _, k := range pending {
		<-c.slots
		if k.queued || k.unsent {
			c.finish(k, nil, notSent)
		} else {
			c.finish(k, nil, lost)
		}
	}
}
