package serve

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/distcache/distcache/internal/rawconn"
)

// A shortLoop serves a unix socket for an Inline server. The processes of a web server open a connection for one
// request and close it again, thousands of times a second. One goroutine accepts the connections, begins their first
// requests, and closes them, which costs half of what a goroutine for each connection costs. It hands over to a worker
// whatever is not that simple: a second request, a request that comes in pieces, a broken one. The worker then serves
// the connection like any other.
type shortLoop struct {
	net.Listener
	s      *Server
	ended  chan<- error // why no more are accepted
	raw    syscall.RawConn
	fd     int // the listener's descriptor
	poller *rawconn.Poller
	conns  map[int]*shortConn // by descriptor
	tick   time.Duration
	resume time.Time // when to accept again after an error; zero: now
	pause  time.Duration
	buf    []byte
}

// A shortConn is a connection of a shortLoop.
type shortConn struct {
	*Conn
	nc    *rawconn.Bare
	fd    int
	asked bool // the first request has been taken
	seen  bool // idle since the last tick
}

const (
	loopBuffer  = 64 << 10
	loopAccepts = 16 // at a time, before other connections have their turn
	loopTick    = time.Second
	leastTick   = 10 * time.Millisecond
)

// newShortLoop makes a loop for a listener, or returns nil if the listener or the server is not fit for one.
func (s *Server) newShortLoop(l net.Listener, ended chan<- error) *shortLoop {
	socket, ok := l.(syscall.Conn)
	if !ok || l.Addr().Network() != "unix" || !s.cfg.Inline {
		return nil
	}
	raw, fd, err := rawconn.Listen(socket)
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
	lo := &shortLoop{Listener: l, s: s, ended: ended, raw: raw, fd: fd, poller: p, conns: make(map[int]*shortConn),
		tick: loopTick, buf: make([]byte, loopBuffer)}
	if idle := s.cfg.IdleTimeout; idle > 0 {
		lo.tick = max(leastTick, min(idle/4, loopTick))
	}
	return lo
}

// Close ends the loop, even if it waits.
func (lo *shortLoop) Close() error {
	return errors.Join(lo.Listener.Close(), lo.poller.Close())
}

func (lo *shortLoop) run() {
	err := lo.serve()
	if lo.s.stopping.Load() {
		err = nil
	}
	for _, sc := range lo.conns {
		if !sc.isBroken() {
			lo.turn(sc) // so that what has arrived is answered
		}
		if lo.conns[sc.fd] == sc {
			lo.handOver(sc, nil)
		}
	}
	lo.poller.Close()
	lo.ended <- err
}

// serve returns why no more connections are accepted.
func (lo *shortLoop) serve() error {
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
			} else if sc := lo.conns[fd]; sc != nil {
				lo.turn(sc)
			}
		}
	}
	return err
}

// look is called once a tick: it accepts again after a pause, and hands over idle connections.
func (lo *shortLoop) look() error {
	if err := lo.raw.Control(func(uintptr) {}); err != nil {
		return err // closed, which the Poller does not report
	}
	now := time.Now()
	if !lo.resume.IsZero() && !now.Before(lo.resume) {
		lo.resume = time.Time{}
		if err := lo.poller.Add(lo.fd); err != nil {
			return err
		}
	}
	if lo.s.cfg.IdleTimeout > 0 {
		for _, sc := range lo.conns {
			if sc.seen {
				lo.handOver(sc, nil)
			}
			sc.seen = true
		}
	}
	next := now.Add(lo.tick)
	if !lo.resume.IsZero() && lo.resume.Before(next) {
		next = lo.resume
	}
	return lo.poller.SetDeadline(next)
}

// accept accepts the connections that wait, and takes what they have sent.
func (lo *shortLoop) accept() error {
	for range loopAccepts {
		nc, err := rawconn.Accept(lo.raw, lo.Addr())
		switch {
		case err == nil:
			lo.pause = 0
			if sc := lo.admit(nc); sc != nil {
				lo.turn(sc)
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

// sitOut stops accepting for a while after an error.
func (lo *shortLoop) sitOut(err error) error {
	lo.pause = longer(lo.pause, lo, err, lo.s.tooMany)
	lo.resume = time.Now().Add(lo.pause)
	return errors.Join(lo.poller.Remove(lo.fd), lo.poller.SetDeadline(lo.resume))
}

// admit registers a connection, or closes it and returns nil.
func (lo *shortLoop) admit(nc *rawconn.Bare) *shortConn {
	c := lo.s.newConn(nc)
	if c == nil {
		return nil
	}
	fd, ok := nc.Hold()
	if !ok { // the server has closed it
		lo.s.ended(c)
		return nil
	}
	c.short = true
	sc := &shortConn{Conn: c, nc: nc, fd: fd}
	lo.conns[fd] = sc
	if err := lo.poller.Add(fd); err != nil {
		lo.handOver(sc, nil)
		return nil
	}
	return sc
}

// turn reads what a connection has sent, and handles it.
func (lo *shortLoop) turn(sc *shortConn) {
	sc.seen = false
	n, err := sc.nc.ReadNow(lo.buf)
	if n > 0 {
		sc.in.arrived(sc.Conn, n)
	}
	switch {
	case err == syscall.EAGAIN:
	case err == io.EOF && sc.idle():
		lo.leave(sc)
	case err != nil || sc.asked:
		lo.handOver(sc, lo.buf[:n])
	default:
		lo.request(sc, lo.buf[:n])
	}
}

// request takes the first request. It hands the connection over unless that was all that has arrived.
func (lo *shortLoop) request(sc *shortConn, got []byte) {
	n, err := sc.session.Next(got)
	if err != nil {
		n = 0 // the worker finds the error again, and reports it
	}
	sc.flushNow()
	if sc.asked = n > 0; n != len(got) {
		lo.handOver(sc, got[n:])
	}
}

// idle tells whether nothing is under way on the connection, which sends no more.
func (c *Conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.unanswered()
}

func (c *Conn) isBroken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken != nil
}

// leave ends a connection on which nothing is under way.
func (lo *shortLoop) leave(sc *shortConn) {
	delete(lo.conns, sc.fd)
	sc.end(io.EOF)
	sc.nc.Release()
	sc.nc.Close()
	lo.s.ended(sc.Conn)
}

// handOver has a worker serve the connection from here on. got has been read and not been taken.
func (lo *shortLoop) handOver(sc *shortConn, got []byte) {
	delete(lo.conns, sc.fd)
	_ = lo.poller.Remove(sc.fd) // fails when the poller is closed
	sc.nc.Release()
	sc.short = false
	sc.in.fill(sc.Conn, got)
	lo.s.workers.run(sc.Conn)
}
