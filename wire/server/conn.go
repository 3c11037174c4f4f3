package server

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/distcache/distcache/internal/linked"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// How a connection that has to be closed under its peer is closed: the peer is told that no more comes, and what it
// still sends is thrown away for so long, so that it isn't told of a reset before it has read its last answers.
const lingerTime = 250 * time.Millisecond

var (
	errStopping = errors.New("server is stopping")
	errIdle     = errors.New("idle")
	errStalled  = errors.New("message not finished in time")
	errUntaken  = errors.New("answers not taken")
	errAborted  = errors.New("connection closed by the server")
)

// A conn is one client's connection. The goroutine in run reads; the fields under mu are shared with the workers that
// carry out its requests.
type conn struct {
	s   *Server
	nc  net.Conn
	now nowWriter // nc, if it is one

	// The reading goroutine's own.
	r       *wire.Reader
	msg     wire.Message
	buf     *[]byte   // holds msg's payload; nil while there is none
	early   []byte    // what a loop has read, to be read again
	arrival time.Time // of the bytes read last
	shared  bool      // requests have been handed to workers

	mu   sync.Mutex
	room sync.Cond // the reader waits here for open, held or out to shrink

	requests linked.List[request, *request] // not answered, in the order of arrival, which is that of the deadlines
	tails    map[uint64]*request
	timer    *time.Timer // fires when the oldest of requests is due
	armed    bool
	open     int // requests handed to workers whose answer the kernel has not got
	held     int // bytes of these requests

	out      *[]byte // answers not written yet; nil while there are none
	outOpen  int     // how many of open they answer
	writing  bool    // somebody is in flush
	answered time.Time
	broken   error // no more can be written
}

// A nowWriter writes what the kernel takes without waiting.
type nowWriter interface{ WriteNow(b []byte) (taken int) }

var readers = sync.Pool{New: func() any { return wire.NewReader(nil, wire.Requests) }}

// run serves the connection until it ends.
func (c *conn) run() {
	defer c.s.ended(c)
	defer c.nc.Close()
	if err := c.handshake(); err != nil {
		c.s.counters.broken.Add(1)
		c.s.badPeers.Warn("connection closed: handshake failed", "remote", remote(c.nc), "error", err)
		return
	}
	c.r = readers.Get().(*wire.Reader)
	c.r.Reset(c)
	err := c.serve()
	c.r.Reset(nil)
	readers.Put(c.r)
	c.r = nil
	c.dropBuffer()
	c.end(err)
}

// handshake makes a TLS connection ready, within the time that a message may take.
func (c *conn) handshake() error {
	t, ok := c.nc.(interface{ HandshakeContext(context.Context) error })
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.s.cfg.MessageTimeout)
	defer cancel()
	return t.HandshakeContext(ctx)
}

// Read is how the wire.Reader reads the connection.
func (c *conn) Read(p []byte) (n int, err error) {
	if len(c.early) > 0 {
		n = copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
	} else {
		n, err = c.nc.Read(p)
	}
	if n > 0 {
		c.s.counters.bytesIn.Add(uint64(n))
		c.arrival = time.Now()
	}
	return n, err
}

// turnRequests is how many requests of a connection are taken before others get their turn. The scheduler would leave a
// goroutine that never waits its processor for 10 ms: among some hundreds that flood the server, every other would be
// served every few seconds.
const turnRequests = 64

// serve reads requests and has them carried out, until the connection can't be read on; it returns why.
func (c *conn) serve() error {
	turn := 0
	for {
		if !c.r.Ready() {
			if err := c.await(); err != nil {
				return err
			}
		}
		if c.shared {
			if err := c.awaitRoom(); err != nil {
				return err
			}
		}
		if err := c.read(); err != nil {
			return err
		}
		if err := c.handle(); err != nil {
			return err
		}
		if turn++; turn == turnRequests {
			turn = 0
			runtime.Gosched()
		}
	}
}

// await writes what is due and blocks until another message has begun.
func (c *conn) await() error {
	if err := c.flushNow(); err != nil {
		return err
	}
	c.dropBuffer()
	idle := c.s.cfg.IdleTimeout
	if idle == 0 {
		return c.readError(c.r.Wait())
	}
	for until := time.Now().Add(idle); ; {
		c.setReadDeadline(until)
		err := c.readError(c.r.Wait())
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		c.mu.Lock()
		busy, answered := c.open > 0, c.answered
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
func (c *conn) awaitRoom() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.broken == nil && (c.open >= c.s.cfg.MaxInFlight || c.held+c.outLen() > c.mayHold() && (c.open > 0 || c.writing)) {
		if c.outLen() > 0 && !c.writing {
			c.flush()
			continue
		}
		c.room.Wait()
	}
	return c.broken
}

// mayHold is how many bytes of requests and answers the connection may hold before it isn't read any more.
func (c *conn) mayHold() int {
	if limit := c.s.cfg.MaxHeld; c.s.counters.held.Load() > int64(limit) {
		return min(maxHeld, c.s.share(limit))
	}
	return maxHeld
}

// read reads one message, for whose rest the peer has so much time.
func (c *conn) read() error {
	if c.buf == nil {
		c.buf = getBuffer()
		c.msg.Payload = *c.buf
	}
	if c.r.Ready() {
		return c.r.Read(&c.msg)
	}
	if err := c.flushNow(); err != nil {
		return err
	}
	c.setReadDeadline(time.Now().Add(c.s.cfg.MessageTimeout))
	if err := c.r.Read(&c.msg); err != nil {
		if err = c.readError(err); errors.Is(err, os.ErrDeadlineExceeded) {
			err = errStalled
		}
		return err
	}
	c.setReadDeadline(time.Time{})
	return nil
}

// dropBuffer gives back the memory of the last message.
func (c *conn) dropBuffer() {
	if c.buf != nil {
		*c.buf = c.msg.Payload
		putBuffer(c.buf)
		c.buf, c.msg.Payload = nil, nil
	}
}

// setReadDeadline sets the deadline of reads, unless the server is stopping and has set its own.
func (c *conn) setReadDeadline(t time.Time) {
	c.nc.SetReadDeadline(t)
	if c.s.stopping.Load() {
		c.nc.SetReadDeadline(c.s.stopAt)
	}
}

// readError is err, or errStopping for the deadline of a server that is stopping.
func (c *conn) readError(err error) error {
	if err != nil && c.s.stopping.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		return errStopping
	}
	return err
}

// handle carries out the request that has been read, or hands it to a worker.
func (c *conn) handle() error {
	s, m := c.s, &c.msg
	r := store.Request{Op: operations[m.Op], ID: m.Payload}
	var err error
	if m.Op == wire.OpAdd {
		r.ID, r.Data, r.Timeout, err = wire.ParseAdd(m.Payload)
		r.Timeout = max(r.Timeout, s.cfg.MinTimeout)
	} else {
		err = wire.CheckID(r.ID)
	}
	if err != nil {
		status, ok := err.(wire.Status)
		if !ok {
			return err
		}
		c.respond(m.UID, m.Op, status, nil, c.arrival)
		return nil
	}
	if s.prompt == nil || !s.prompt.NonBlocking(r.Op) || c.shared && c.isOpen(r.ID) {
		c.dispatch(r)
		return nil
	}
	ctx := &callContext{deadline: c.arrival.Add(s.cfg.RequestTimeout)}
	status, answer := s.outcome(m.Op, store.Do(ctx, s.cfg.Store, &r))
	ctx.finish(context.Canceled)
	c.respond(m.UID, m.Op, status, answer, c.arrival)
	return nil
}

// operations are the store's names of the protocol's operations.
var operations = [wire.UserOps]store.Op{wire.OpAdd: store.Add, wire.OpGet: store.Get, wire.OpRemove: store.Remove, wire.OpHave: store.Have}

// outcome makes an answer of what a store returned: a status, or a session's data.
func (s *Server) outcome(op wire.Op, r store.Result) (wire.Status, []byte) {
	if r.Err == nil {
		if op == wire.OpGet && (len(r.Data) == 0 || len(r.Data) > wire.MaxPayload) {
			s.badStore.Warn("session not sent: no message holds it", "bytes", len(r.Data))
			return wire.Disconnected, nil
		}
		return wire.OK, r.Data
	}
	status, loud := statusOf(r.Err)
	if loud {
		s.badStore.Warn("store failed", "operation", op.String(), "error", r.Err)
	}
	return status, nil
}

// end sees to the answers that are still due and says, where it matters, why the connection ended.
func (c *conn) end(why error) {
	n, s := &c.s.counters, c.s
	linger := false
	switch {
	case errors.Is(why, wire.ErrCorrupt):
		n.broken.Add(1)
		linger = true
		s.badPeers.Warn("connection closed", "remote", remote(c.nc), "reason", why)
	case why == errStalled:
		n.stalled.Add(1)
		s.badPeers.Warn("connection closed", "remote", remote(c.nc), "reason", why, "after", s.cfg.MessageTimeout)
	case why == errIdle:
		n.idled.Add(1)
	case why != io.EOF && why != errStopping:
		s.cfg.Logger.Debug("connection lost", "remote", remote(c.nc), "error", why)
	}

	c.mu.Lock()
	linger = linger || why == errStopping && (c.open > 0 || c.outLen() > 0)
	for c.unfinished() {
		if c.outLen() > 0 && !c.writing {
			c.flush()
			continue
		}
		c.room.Wait()
	}
	if c.requests.First() == nil && c.timer != nil {
		c.timer.Stop()
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

// unfinished tells whether there are answers still to come, or to be written. The caller holds mu.
func (c *conn) unfinished() bool {
	return c.broken == nil && (c.open > 0 || c.outLen() > 0 || c.writing)
}

// linger lets the peer read what was written before the connection is closed.
func (c *conn) linger() {
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

// abort cuts the connection and ends the contexts of its store calls.
func (c *conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.breakOff(errAborted)
	for r := c.requests.First(); r != nil; r = c.requests.Next(r) {
		r.ctx.finish(context.Canceled)
	}
}
