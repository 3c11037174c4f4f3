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

// lingerTime is how long what a peer still sends is thrown away when its connection is closed under it: so that the
// peer isn't told of a reset before it has read its last answers.
const lingerTime = 250 * time.Millisecond

// turnMessages is how many messages of a connection are taken before others get their turn. The scheduler would leave a
// goroutine that never waits its processor for 10 ms: among some hundreds that flood the server, every other would be
// served every few seconds.
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

// A brokenError is a Session's: the peer broke the protocol.
type brokenError struct{ error }

func (e brokenError) Unwrap() error { return e.error }

// A Session reads one connection's requests. Its methods are called by one goroutine at a time, which Next may hold up
// only by [Conn.Drain], or by a request that it answers at once.
type Session interface {
	// Next takes one request off b, what has arrived and has not been taken, and answers or begins it. It returns how
	// many bytes that was: 0 when the request is not whole. Next should find what is wrong with a request as soon as
	// its bytes are there, and look at no more than a little of one that is not whole: it is called again whenever more
	// has come. An error says that the peer broke the protocol, and closes the connection when the answers that are due
	// have been written; io.EOF does so without a word in the log. A Next that fails has begun nothing: it may be
	// called again. b is lent, but may be written to.
	Next(b []byte) (taken int, err error)
}

// A Conn is one client's connection. The goroutine in run reads; the fields under mu are shared with the goroutines
// that carry out its requests.
type Conn struct {
	s       *Server
	nc      net.Conn
	session Session
	in      inbox // the reading goroutine's own
	shared  bool  // the same: requests have been begun
	short   bool  // the same: many connections share this goroutine, which must not wait

	mu     sync.Mutex
	room   sync.Cond // the reader waits here for calls or out to shrink
	calls  calls
	out    outbox
	writer rawconn.Writer
	broken error // no more can be written
}

// Arrival is when the request that Next is given has arrived.
func (c *Conn) Arrival() time.Time { return c.in.arrival }

func (c *Conn) deadline() time.Time { return c.in.arrival.Add(c.s.cfg.RequestTimeout) }

// NewContext makes the context of a request that the session carries out in Next, to be ended by Cancel.
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

// handshake makes a TLS connection ready, within the time that a message may take.
func (c *Conn) handshake() error {
	t, ok := c.nc.(interface{ HandshakeContext(context.Context) error })
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.s.cfg.MessageTimeout)
	defer cancel()
	return t.HandshakeContext(ctx)
}

// serve reads requests and has them carried out, until the connection can't be read on; it returns why.
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

// take has the session take one request off what has arrived. It is false when there is none.
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

// read writes what is due, and blocks until more has arrived.
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

// await blocks until another message has begun.
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

// awaitRoom blocks while the connection has as many requests open as it may, or holds too much memory for them.
func (c *Conn) awaitRoom() error {
	return c.awaitUntil(func() bool {
		held := c.calls.held + c.out.size()
		return c.calls.open < c.s.cfg.MaxInFlight && (held <= c.mayHold() || c.calls.open == 0 && !c.writer.Busy())
	})
}

// Drain blocks until all requests that have been begun are answered. A session calls it from Next, before a request
// that has to see what those before it have done, whatever their keys.
func (c *Conn) Drain() {
	_ = c.awaitUntil(func() bool { return c.calls.open == 0 }) // a broken connection is found out by whoever writes
}

// awaitUntil writes, or waits for those who do, until ok is true or the connection is broken. It calls ok with the
// lock.
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

// mayHold is how many bytes of requests and answers the connection may hold before it isn't read any more.
func (c *Conn) mayHold() int {
	if limit := c.s.cfg.MaxHeld; c.s.counters.held.Load() > int64(limit) {
		return min(maxHeld, c.s.share(limit))
	}
	return maxHeld
}

// setReadDeadline sets the deadline of reads, unless the server is stopping and has set its own.
func (c *Conn) setReadDeadline(t time.Time) {
	c.nc.SetReadDeadline(t)
	if c.s.stopping.Load() {
		c.nc.SetReadDeadline(c.s.stopAt)
	}
}

// readError is err, or errStopping for the deadline of a server that is stopping.
func (c *Conn) readError(err error) error {
	if err != nil && c.s.stopping.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		return errStopping
	}
	return err
}

// end sees to the answers that are still due and says, where it matters, why the connection ended.
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

// logClosed says why a connection is closed under its peer.
func (c *Conn) logClosed(why error, more ...any) {
	c.s.badPeers.Warn("connection closed", append([]any{"remote", remote(c.nc), "reason", why}, more...)...)
}

// unanswered tells whether there are answers still to come, or to be written. The caller holds mu.
func (c *Conn) unanswered() bool {
	return c.broken == nil && (c.calls.open > 0 || c.out.buf != nil || c.writer.Busy())
}

// linger lets the peer read what was written before the connection is closed.
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

// abort cuts the connection and ends the contexts of its requests.
func (c *Conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := c.calls.list.First(); k != nil; k = c.calls.list.Next(k) {
		k.ctx.Cancel()
	}
	c.breakOff(errAborted)
}
