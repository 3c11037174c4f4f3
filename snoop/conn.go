package snoop

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// readSize is the most bytes that a relay reads at once.
const readSize = 8 << 10

// A conn is a client's connection, with the connection to the server that its bytes are passed on to.
type conn struct {
	s        *Snooper
	client   net.Conn
	listener string

	watching sync.Mutex // guards watch and reason
	watch    *watch
	reason   string // why the connection ended: the first reason

	mu     sync.Mutex // guards server and isCut
	server net.Conn   // nil until connected
	isCut  bool
}

func newConn(s *Snooper, client net.Conn, number uint64, listener string) *conn {
	return &conn{s: s, client: client, listener: listener,
		watch: newWatch(&s.cfg, s.queue, s.tally, number, time.Now())}
}

// run connects to the server and passes on both directions until both have ended.
func (c *conn) run(ctx context.Context) {
	c.watch.opened(peer(c.client), c.listener)
	if err := c.connect(ctx); err != nil {
		c.client.Close()
		c.watch.failed("cannot connect to the server: "+short(err), time.Now())
		return
	}
	var relays sync.WaitGroup
	relays.Go(func() { c.relay(toServer, c.client, c.server) })
	relays.Go(func() { c.relay(toClient, c.server, c.client) })
	relays.Wait()
	c.cut()
	c.watch.closed(c.reason, time.Now())
}

// connect connects to the server.
func (c *conn) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.s.cfg.DialTimeout)
	defer cancel()
	server, err := c.s.cfg.Dial(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = server
	if c.isCut {
		server.Close()
	}
	return nil
}

// cut closes both connections at once.
func (c *conn) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
	c.client.Close()
	if c.server != nil {
		c.server.Close()
	}
}

// relay passes on one direction until it ends, and then the end. The watch sees bytes before they go out, so that it
// sees a request before its answer.
func (c *conn) relay(dir direction, src, dst net.Conn) {
	buf := make([]byte, readSize)
	for {
		n, readErr := src.Read(buf)
		if n > 0 {
			c.passing(dir, buf[:n])
			if _, err := dst.Write(buf[:n]); err != nil {
				c.ended(dir, c.why(to(dir), err), false)
				stopReading(src)
				return
			}
		}
		switch {
		case readErr == nil:
		case errors.Is(readErr, io.EOF):
			c.ended(dir, "by the "+from(dir), true)
			if !stopWriting(dst) { // then the end is passed on when the other direction ends
				c.cut()
			}
			return
		default:
			c.ended(dir, c.why(from(dir), readErr), !ours(readErr))
			passReset(readErr, dst)
			c.cut()
			return
		}
	}
}

// passing shows the watch what is about to go out.
func (c *conn) passing(dir direction, b []byte) {
	c.watching.Lock()
	defer c.watching.Unlock()
	c.watch.bytes(dir, b, time.Now())
}

// ended records that a direction has ended, and why. byPeer says that the sender of that direction ended it.
func (c *conn) ended(dir direction, reason string, byPeer bool) {
	c.watching.Lock()
	defer c.watching.Unlock()
	if byPeer {
		c.watch.end(dir, time.Now())
	}
	c.reason = cmp.Or(c.reason, reason)
}

// why describes the error of one side's connection, as the reason for the end of both.
func (c *conn) why(side string, err error) string {
	switch {
	case c.s.stopping.Load():
		return "as snooping ended"
	case ours(err):
		return "with the other direction"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset by the " + side
	}
	return "as the " + side + " failed: " + short(err)
}

// ours tells whether a connection's error is that this process has closed it.
func ours(err error) bool { return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) }

func from(dir direction) string {
	if dir == toServer {
		return "client"
	}
	return "server"
}

func to(dir direction) string { return from(1 - dir) }

// stopWriting tells the peer of nc that no more comes. The result is false if the kind of connection can't say so.
func stopWriting(nc net.Conn) bool {
	w, ok := nc.(interface{ CloseWrite() error })
	return ok && !errors.Is(w.CloseWrite(), errors.ErrUnsupported)
}

// stopReading tells the peer of nc that nothing more is read, if the kind of connection can say so.
func stopReading(nc net.Conn) {
	if r, ok := nc.(interface{ CloseRead() error }); ok {
		_ = r.CloseRead() // fails if the connection is closed already
	}
}

// passReset makes the closing of nc a reset, if err says that the other side was reset.
func passReset(err error, nc net.Conn) {
	if l, ok := nc.(interface{ SetLinger(int) error }); ok && errors.Is(err, syscall.ECONNRESET) {
		_ = l.SetLinger(0) // fails if the connection is closed already
	}
}

// short is the error without the addresses that package net adds.
func short(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}
