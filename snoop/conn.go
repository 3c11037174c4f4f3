package snoop

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// readSize is what a relay reads at once.
	readSize = 8 << 10
	// maxBehind is how many reads a decoder may fall behind before its relays wait for it.
	maxBehind = 32
)

// A chunk is what a relay has read, or, with a reason, that it has come to its end.
type chunk struct {
	dir    direction
	at     time.Time
	n      int
	bytes  *[readSize]byte // from chunks
	reason string          // for the connection's end, if it comes from this
	byPeer bool            // the end came from whoever sends in this direction
}

var chunks = sync.Pool{New: func() any { return new([readSize]byte) }}

// A conn is a client's connection and the one to the server that it is passed on to.
type conn struct {
	s        *Snooper
	client   net.Conn
	listener string
	watch    *watch
	chunks   chan chunk
	relaying atomic.Int32 // relays that have not ended; the last closes the connections

	mu     sync.Mutex
	server net.Conn // nil until connected
	isCut  bool
}

func newConn(s *Snooper, client net.Conn, number uint64, listener string) *conn {
	return &conn{
		s: s, client: client, listener: listener, chunks: make(chan chunk, maxBehind),
		watch: newWatch(&s.cfg, s.queue, s.tally, number, time.Now()),
	}
}

// run connects to the server, starts the relays, and decodes what they hand over until both have ended.
func (c *conn) run(ctx context.Context) {
	c.watch.opened(peer(c.client), c.listener)
	if err := c.connect(ctx); err != nil {
		c.client.Close()
		c.watch.failed("cannot connect to the server: "+short(err), time.Now())
		return
	}
	c.relaying.Store(2)
	var relays sync.WaitGroup
	relays.Go(func() { c.relay(toServer, c.client, c.server) })
	relays.Go(func() { c.relay(toClient, c.server, c.client) })

	reason := ""
	for running := 2; running > 0; {
		k := <-c.chunks
		if k.reason != "" {
			running--
			if k.byPeer {
				c.watch.end(k.dir, k.at)
			}
			if reason == "" {
				reason = k.reason
			}
		} else {
			c.watch.bytes(k.dir, k.bytes[:k.n], k.at)
			chunks.Put(k.bytes)
		}
		if running == 0 {
			c.watch.closed(reason, k.at)
		}
	}
	relays.Wait()
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

// relay passes one direction on until it ends, and the end with it. The decoder gets its copy before the bytes go out,
// so that it has a request before anybody can have answered it, and of ends the one that came first.
func (c *conn) relay(dir direction, src, dst net.Conn) {
	defer func() {
		if c.relaying.Add(-1) == 0 {
			c.cut()
		}
	}()
	buf := make([]byte, readSize)
	for {
		n, readErr := src.Read(buf)
		if n > 0 {
			k := chunk{dir: dir, at: time.Now(), n: n, bytes: chunks.Get().(*[readSize]byte)}
			copy(k.bytes[:], buf[:n])
			c.chunks <- k
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
			if !stopWriting(dst) { // then the end is passed on with the other direction's
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

// ended tells the decoder that no more comes.
func (c *conn) ended(dir direction, reason string, byPeer bool) {
	c.chunks <- chunk{dir: dir, at: time.Now(), reason: reason, byPeer: byPeer}
}

// why says what an error on one side's connection means for the whole.
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

// ours tells whether a connection's error is that it has been closed here.
func ours(err error) bool { return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) }

func from(dir direction) string {
	if dir == toServer {
		return "client"
	}
	return "server"
}

func to(dir direction) string { return from(1 - dir) }

// stopWriting passes on that no more comes, and tells whether that was possible.
func stopWriting(nc net.Conn) bool {
	w, ok := nc.(interface{ CloseWrite() error })
	return ok && !errors.Is(w.CloseWrite(), errors.ErrUnsupported)
}

// stopReading passes on that nothing more is taken, as far as the kind of connection lets it be known.
func stopReading(nc net.Conn) {
	if r, ok := nc.(interface{ CloseRead() error }); ok {
		_ = r.CloseRead() // it may be closed already
	}
}

// passReset makes the closing of nc a reset if that is what happened on the other side.
func passReset(err error, nc net.Conn) {
	if l, ok := nc.(interface{ SetLinger(int) error }); ok && errors.Is(err, syscall.ECONNRESET) {
		_ = l.SetLinger(0) // it may be closed already
	}
}

// short is an error without the addresses that everybody knows.
func short(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}
