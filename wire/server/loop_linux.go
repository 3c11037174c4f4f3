package server

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/distcache/distcache/internal/rawconn"
	"github.com/distcache/distcache/wire"
)

// A loop serves a unix socket for a [store.AsyncStore]: what a web server's processes open for one request and close again,
// thousands of times a second. One goroutine accepts, carries out the first request of a connection, and closes it, with
// none for each connection: that halves what it costs. All that is not so simple (a second request, one that comes in
// pieces, a broken one) it hands over to a worker, which serves the connection from there as any other.
type loop struct {
	net.Listener
	s      *Server
	ended  chan<- error // why no more are accepted
	raw    syscall.RawConn
	fd     int // the listener's
	poller *rawconn.Poller
	conns  map[int]*guest // by descriptor
	tick   time.Duration
	resume time.Time // when to accept again after an error; zero: now
	pause  time.Duration
	buf    []byte
	src    bytes.Reader
	reader *wire.Reader
}

// A guest is a connection in a loop's hands.
type guest struct {
	*conn
	nc    *rawconn.Bare
	fd    int
	asked bool // its first request has been carried out
	seen  bool // by the last look round
}

const (
	loopBuffer  = 64 << 10 // more than a message
	loopAccepts = 16       // in a row, before the others have their turn
	loopTick    = time.Second
	leastTick   = 10 * time.Millisecond
)

// newLoop makes a loop for a listener, or returns nil when that, or the store, is none for it.
func (s *Server) newLoop(l net.Listener, ended chan<- error) *loop {
	ul, ok := l.(*net.UnixListener)
	if own, is := l.(*wire.UnixListener); is {
		ul, ok = own.UnixListener, true
	}
	if !ok || s.async == nil {
		return nil
	}
	raw, fd, err := rawconn.Listen(ul)
	if err != nil {
		return nil
	}
	p, err := rawconn.NewPoller()
	if err != nil {
		return nil
	}
	if err := p.Add(fd); err != nil {
		p.Close()
		return nil
	}
	lo := &loop{Listener: l, s: s, ended: ended, raw: raw, fd: fd, poller: p, conns: make(map[int]*guest), tick: loopTick,
		buf: make([]byte, loopBuffer)}
	if idle := s.cfg.IdleTimeout; idle > 0 {
		lo.tick = max(leastTick, min(idle/4, loopTick))
	}
	lo.reader = wire.NewReader(&lo.src, wire.Requests)
	return lo
}

// Close ends the loop, also when it waits.
func (lo *loop) Close() error {
	return errors.Join(lo.Listener.Close(), lo.poller.Close())
}

func (lo *loop) run() {
	err := lo.serve()
	if lo.s.stopping.Load() {
		err = nil
	}
	for _, g := range lo.conns {
		if !g.isBroken() {
			lo.turn(g) // what has arrived is answered
		}
		if lo.conns[g.fd] == g {
			lo.handOver(g, nil)
		}
	}
	lo.poller.Close()
	lo.ended <- err
}

// serve returns why no more connections are accepted.
func (lo *loop) serve() error {
	var ready []int
	err := lo.poller.SetDeadline(time.Now().Add(lo.tick))
	for err == nil {
		ready, err = lo.poller.Wait(ready)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = lo.look()
			continue
		}
		for _, fd := range ready {
			if fd == lo.fd {
				if err = lo.accept(); err != nil {
					break
				}
			} else if g := lo.conns[fd]; g != nil {
				lo.turn(g)
			}
		}
	}
	return err
}

// look is what is done once a tick.
func (lo *loop) look() error {
	if err := lo.raw.Control(func(uintptr) {}); err != nil {
		return err // closed, of which a Poller tells nothing
	}
	now := time.Now()
	if !lo.resume.IsZero() && !now.Before(lo.resume) {
		lo.resume = time.Time{}
		if err := lo.poller.Add(lo.fd); err != nil {
			return err
		}
	}
	if lo.s.cfg.IdleTimeout > 0 {
		for _, g := range lo.conns {
			if g.seen {
				lo.handOver(g, nil)
			}
			g.seen = true
		}
	}
	next := now.Add(lo.tick)
	if !lo.resume.IsZero() && lo.resume.Before(next) {
		next = lo.resume
	}
	return lo.poller.SetDeadline(next)
}

// accept takes the connections that wait, and what they have sent already.
func (lo *loop) accept() error {
	for range loopAccepts {
		nc, err := rawconn.Accept(lo.raw, lo.Addr())
		switch {
		case err == nil:
			lo.pause = 0
			if g := lo.admit(nc); g != nil {
				lo.turn(g)
			}
		case err == syscall.EAGAIN:
			return nil
		case lo.s.stopping.Load():
			return nil
		case passing(err):
			return lo.sitOut(err)
		default:
			return err
		}
	}
	return nil
}

// sitOut has no connections accepted for a while.
func (lo *loop) sitOut(err error) error {
	lo.pause = lo.s.longer(lo.pause, lo, err)
	lo.resume = time.Now().Add(lo.pause)
	return errors.Join(lo.poller.Remove(lo.fd), lo.poller.SetDeadline(lo.resume))
}

// admit takes a connection in, or closes it and returns nil.
func (lo *loop) admit(nc *rawconn.Bare) *guest {
	c := lo.s.newConn(nc)
	if c == nil {
		return nil
	}
	fd, ok := nc.Hold()
	if !ok { // closed with the server
		lo.s.ended(c)
		return nil
	}
	g := &guest{conn: c, nc: nc, fd: fd}
	lo.conns[fd] = g
	if err := lo.poller.Add(fd); err != nil {
		lo.handOver(g, nil)
		return nil
	}
	return g
}

// turn reads what a connection has sent, and goes by that.
func (lo *loop) turn(g *guest) {
	g.seen = false
	n, err := g.nc.ReadNow(lo.buf)
	got := lo.buf[:n]
	switch {
	case err == syscall.EAGAIN:
	case err == io.EOF && g.idle():
		lo.leave(g)
	case err != nil || g.asked || !lo.request(g, got):
		lo.handOver(g, got)
	}
}

// request carries out what must be one whole request, or does nothing and returns false.
func (lo *loop) request(g *guest, got []byte) bool {
	c := g.conn
	c.buf = getBuffer()
	c.msg.Payload = *c.buf
	defer c.dropBuffer()
	lo.src.Reset(got)
	lo.reader.Reset(&lo.src)
	if lo.reader.Read(&c.msg) != nil || lo.reader.Wait() == nil {
		return false
	}
	c.arrival = time.Now()
	if c.handle() != nil {
		return false
	}
	g.asked = true
	c.s.counters.bytesIn.Add(uint64(len(got)))
	c.flushSoon()
	return true
}

// idle tells whether nothing is under way on the connection, now that no more comes.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.unfinished()
}

func (c *conn) isBroken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken != nil
}

// leave ends a connection on which nothing is under way.
func (lo *loop) leave(g *guest) {
	delete(lo.conns, g.fd)
	g.end(io.EOF)
	g.nc.Release()
	g.nc.Close()
	lo.s.ended(g.conn)
}

// handOver has a worker go on with the connection, from what has been read of it.
func (lo *loop) handOver(g *guest, got []byte) {
	delete(lo.conns, g.fd)
	_ = lo.poller.Remove(g.fd) // fails when the poller is closed
	g.nc.Release()
	g.early = bytes.Clone(got)
	lo.s.workers.run(g.conn)
}
