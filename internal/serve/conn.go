package serve

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/distcache/distcache/internal/rawconn"
	"github.com/distcache/distcache/internal/tlsconf"
)

// lingerTime is how long a connection that is closed under its peer is still read, and what comes thrown away.
// Otherwise the peer could get a reset before it has read its last answers.
const lingerTime = 250 * time.Millisecond

// turnMessages is how many messages of a connection are taken before other goroutines have a turn. The scheduler takes
// the processor from a goroutine that never waits only after 10 ms: among hundreds of connections that flood the
// server, each would be served only every few seconds.
const turnMessages = 64

var (
	errStopping  = errors.New("server is stopping")
	errIdle      = errors.New("idle")
	errStalled   = errors.New("message not finished in time")
	errTruncated = errors.New("connection ended within a message")
	errTooLong   = errors.New("message is over its largest size")
	errTooMany   = errors.New("message not finished, and too many others wait to be")
	errSlow      = errors.New("answers not taken in time")
	errUntaken   = errors.New("answers not taken, and too many wait")
	errAborted   = errors.New("connection closed by the server")
)

// A brokenError is an error of a Session: the peer broke the protocol.
type brokenError struct{ error }

func (e brokenError) Unwrap() error { return e.error }

// A Session reads one connection's requests. One goroutine at a time calls its methods. Next may hold that goroutine up
// only by [Conn.Drain], or by a request that it answers at once.
type Session interface {
	// Next takes one request off b, and answers or begins it. b is what has arrived and has not been taken. Next
	// returns the length of the request, 0 when not all of it has arrived. Next should find what is wrong with a
	// request as soon as its bytes are there. It should look at little of a request that is not whole, as it is called
	// again whenever more arrives. An error says that the peer broke the protocol; the connection is closed when the
	// answers that are due have been written. io.EOF closes the connection in the same way, but is not logged. A Next
	// that fails has begun nothing, and may be called again. b is lent, but may be written to.
	Next(b []byte) (taken int, err error)
}

// A Conn is a client's connection. The goroutine in run reads. The fields under mu are shared with the goroutines that
// carry out the connection's requests.
type Conn struct {
	s       *Server
	nc      net.Conn
	session Session
	in      inbox // used by the reading goroutine only
	shared  bool  // requests have been begun; used by the reading goroutine only
	short   bool  // many connections share the reading goroutine, which must not wait; used by that only

	mu     sync.Mutex
	room   sync.Cond // the reader waits here until calls or out shrink
	calls  calls
	out    outbox
	writer rawconn.Writer
	broken error // why no more can be written; nil while more can
}

// Arrival is when the request that Next is given arrived.
func (c *Conn) Arrival() time.Time { return c.in.arrival }

func (c *Conn) deadline() time.Time { return c.in.arrival.Add(c.s.cfg.RequestTimeout) }

// NewContext makes the context of a request that the session carries out in Next. Cancel must be called on it.
func (c *Conn) NewContext() *Context { return &Context{deadline: c.deadline()} }

// run serves the connection until it ends.
func (c *Conn) run() {
	defer c.s.ended(c)
	defer c.nc.Close()
	if err := c.handshake(); err != nil {
		c.s.counters.broken.Add(1)
		c.s.badPeers.Warn("connection closed: handshake failed", "remote", remote(c.nc), "error", tlsconf.Explain(err))
		return
	}
	err := c.serve()
	c.in.drop(c)
	c.end(err)
}

// handshake does the handshake of a TLS connection, within MessageTimeout.
func (c *Conn) handshake() error {
	t, ok := c.nc.(interface{ HandshakeContext(context.Context) error })
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.s.cfg.MessageTimeout)
	defer cancel()
	return t.HandshakeContext(ctx)
}

// serve reads requests and has them carried out. It returns why the connection can't be read further.
func (c *Conn) serve() error {
	for turn := 1; ; turn++ {
		if c.shared {
			if err := c.awaitRoom(); err != nil {
				return err
			}
		}
		took, err := c.take()
		if err != nil {
			return err
		}
		if !took {
			if err := c.read(); err != nil {
				return err
			}
		}
		if turn%turnMessages == 0 {
			runtime.Gosched()
		}
	}
}

// take has the session take one request off what has arrived. The result is false if there is none.
func (c *Conn) take() (bool, error) {
	b := c.in.bytes()
	if len(b) == 0 {
		return false, nil
	}
	n, err := c.session.Next(b)
	if err != nil {
		if err != io.EOF {
			err = brokenError{err}
		}
		return false, err
	}
	if n == 0 {
		return false, nil
	}
	c.in.from += n
	if c.in.unfinished {
		c.in.unfinished = false
		c.setReadDeadline(time.Time{})
	}
	return true, nil
}

// read writes the answers that are due, and waits until more has arrived.
func (c *Conn) read() error {
	if err := c.flush(); err != nil {
		return err
	}
	if len(c.in.bytes()) == 0 {
		return c.await()
	}
	if !c.in.unfinished {
		c.in.unfinished = true
		c.setReadDeadline(time.Now().Add(c.s.cfg.MessageTimeout))
	}
	switch err := c.readError(c.in.read(c)); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errStalled
	case err == io.EOF:
		return brokenError{errTruncated}
	default:
		return err
	}
}

// await waits until another message begins.
func (c *Conn) await() error {
	idle := c.s.cfg.IdleTimeout
	if idle == 0 {
		return c.readError(c.in.read(c))
	}
	for until := time.Now().Add(idle); ; {
		c.setReadDeadline(until)
		err := c.readError(c.in.read(c))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		c.mu.Lock()
		busy, answered := c.calls.open > 0, c.out.answered
		c.mu.Unlock()
		switch now := time.Now(); {
		case busy:
			until = now.Add(idle)
		case answered.Add(idle).After(now):
			until = answered.Add(idle)
		default:
			return errIdle
		}
	}
}

// awaitRoom waits while the connection has as many open requests as it may have, or holds too much memory for them.
func (c *Conn) awaitRoom() error {
	return c.awaitUntil(func() bool {
		held := c.calls.held + c.out.size()
		return c.calls.open < c.s.cfg.MaxInFlight && (held <= c.mayHold() || c.calls.open == 0 && !c.writer.Busy())
	})
}

// Drain waits until all requests that have been begun are answered. A session calls it from Next, before a request that
// must see the effects of all requests before, whatever their keys.
func (c *Conn) Drain() {
	_ = c.awaitUntil(func() bool { return c.calls.open == 0 }) // the next read or write finds a broken connection
}

// awaitUntil writes, or waits for the goroutine that writes, until ok is true or the connection is broken. It calls ok
// with the lock held.
func (c *Conn) awaitUntil(ok func() bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.broken == nil && !ok() {
		if c.out.buf != nil && !c.writer.Busy() {
			c.writer.Flush()
			continue
		}
		c.room.Wait()
	}
	return c.broken
}

// mayHold is how many bytes of requests and answers the connection may hold before it is no longer read.
func (c *Conn) mayHold() int {
	if limit := c.s.cfg.MaxHeld; c.s.counters.held.Load() > int64(limit) {
		return min(maxHeld, c.s.share(limit))
	}
	return maxHeld
}

// setReadDeadline sets the deadline of reads, unless the server is stopping: then stop's deadline stays.
func (c *Conn) setReadDeadline(t time.Time) {
	c.nc.SetReadDeadline(t)
	if c.s.stopping.Load() {
		c.nc.SetReadDeadline(c.s.stopAt)
	}
}

// readError is err, but errStopping if the deadline is that of a server that is stopping.
func (c *Conn) readError(err error) error {
	if err != nil && c.s.stopping.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		return errStopping
	}
	return err
}

// end writes the answers that are still due, and counts and logs why the connection ended.
func (c *Conn) end(why error) {
	n, s := &c.s.counters, c.s
	var broken brokenError
	linger := errors.As(why, &broken)
	switch {
	case linger:
		n.broken.Add(1)
		c.logClosed(why)
	case why == errStalled:
		n.stalled.Add(1)
		c.logClosed(why, "after", s.cfg.MessageTimeout)
	case why == errTooMany:
		n.stalled.Add(1)
		c.logClosed(why)
	case why == errIdle:
		n.idled.Add(1)
	case why != io.EOF && why != errStopping:
		s.cfg.Logger.Debug("connection lost", "remote", remote(c.nc), "error", why)
	}

	c.mu.Lock()
	linger = linger || why == errStopping && c.unanswered()
	c.mu.Unlock()
	_ = c.awaitUntil(func() bool { return !c.unanswered() })
	c.mu.Lock()
	if c.calls.list.First() == nil && c.calls.timer != nil {
		c.calls.timer.Stop()
	}
	linger = linger && c.broken == nil
	if c.broken == nil {
		c.broken = errAborted
	}
	c.mu.Unlock()
	if linger {
		c.linger()
	}
}

// logClosed logs why the server closes a connection.
func (c *Conn) logClosed(why error, more ...any) {
	c.s.badPeers.Warn("connection closed", append([]any{"remote", remote(c.nc), "reason", why}, more...)...)
}

// unanswered tells whether answers are still to come, or to be written. The caller holds mu.
func (c *Conn) unanswered() bool {
	return c.broken == nil && (c.calls.open > 0 || c.out.buf != nil || c.writer.Busy())
}

// linger gives the peer time to read what was written, before the connection is closed.
func (c *Conn) linger() {
	w, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	b := getBuffer()
	defer putBuffer(b)
	for {
		if _, err := c.nc.Read((*b)[:cap(*b)]); err != nil {
			return
		}
	}
}

// abort closes the connection and ends the contexts of its requests.
func (c *Conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := c.calls.list.First(); k != nil; k = c.calls.list.Next(k) {
		k.ctx.Cancel()
	}
	c.breakOff(errAborted)
}
