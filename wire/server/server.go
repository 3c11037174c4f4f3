package server

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/distcache/distcache/internal/ratelog"
	"github.com/distcache/distcache/internal/rawconn"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// ErrClosed is what Serve and ServeConn return when the server has been shut down before they were called.
var ErrClosed = errors.New("server: closed")

// lastReads is how long connections are still read once Shutdown has begun: requests that have arrived by then are
// taken and answered.
const lastReads = 10 * time.Millisecond

// A Server serves one store on any number of listeners and connections. Make one with [New]. All its methods may be
// called at once.
type Server struct {
	cfg      Config
	prompt   store.NonBlocking // the store, if it is one
	async    store.AsyncStore  // the same
	seed     maphash.Seed
	workers  workers
	counters counters
	progress atomic.Pointer[progress]

	badPeers, badStore, tooMany *ratelog.Logger

	stopping atomic.Bool
	stopAt   time.Time     // connections are read no longer; set before stopping is
	stopped  chan struct{} // closed when stopping is set

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	wg        sync.WaitGroup // of the connections
}

// New makes a server. It fails when the configuration makes no sense, and starts nothing.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:       cfg,
		seed:      maphash.MakeSeed(),
		badPeers:  ratelog.New(cfg.Logger),
		badStore:  ratelog.New(cfg.Logger),
		tooMany:   ratelog.New(cfg.Logger),
		stopped:   make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*conn]struct{}),
	}
	s.prompt, _ = cfg.Store.(store.NonBlocking)
	s.async, _ = cfg.Store.(store.AsyncStore)
	return s, nil
}

// Serve accepts connections from l and serves them until the server is closed, which closes l, or l has no more
// (io.EOF): then it returns nil. Any other error of l ends it too, except passing ones such as running out of file
// descriptors, which it sits out. Several listeners may be served at once.
func (s *Server) Serve(l net.Listener) error {
	ended := make(chan error, 1)
	if loop := s.newLoop(l, ended); loop != nil {
		return s.serve(loop, loop, ended)
	}
	return s.serve(l, &acceptor{s: s, l: l, ended: ended}, ended)
}

// serve has t accept connections from l until it says why it has ended.
func (s *Server) serve(l net.Listener, t task, ended <-chan error) error {
	s.mu.Lock()
	if s.stopping.Load() {
		s.mu.Unlock()
		l.Close()
		return ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.workers.run(t)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
		l.Close()
	}()

	return <-ended
}

// An acceptor accepts connections. The worker that has accepted one serves it, and leaves the next to another: so a
// request that has come with its connection need not wait for a worker to wake.
type acceptor struct {
	s     *Server
	l     net.Listener
	ended chan<- error // why no more are accepted
}

func (a *acceptor) run() {
	var pause time.Duration
	for {
		nc, err := a.l.Accept()
		switch {
		case err == nil:
			pause = 0
			if c := a.s.newConn(nc); c != nil {
				a.s.workers.run(a)
				c.run()
				return
			}
		case a.s.stopping.Load(), errors.Is(err, io.EOF):
			a.ended <- nil
			return
		case passing(err):
			pause = a.s.longer(pause, a.l, err)
			select {
			case <-time.After(pause):
			case <-a.s.stopped:
			}
		default:
			a.ended <- err
			return
		}
	}
}

// longer is the pause after a passing error of Accept, which it logs, when the last was so long.
func (s *Server) longer(pause time.Duration, l net.Listener, err error) time.Duration {
	s.tooMany.Warn("cannot accept a connection", "listener", l.Addr().String(), "error", err)
	return min(max(2*pause, 5*time.Millisecond), time.Second)
}

// passing tells whether an error of Accept may be gone the next time.
func passing(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && (errno.Temporary() || errno == syscall.ENOBUFS || errno == syscall.ENOMEM)
}

// ServeConn serves one connection until it ends, and closes it. The error is ErrClosed when there was no serving it
// because the server is closed or has MaxConns, else nil: what goes wrong on a connection is logged.
func (s *Server) ServeConn(nc net.Conn) error {
	c := s.newConn(nc)
	if c == nil {
		return ErrClosed
	}
	c.run()
	return nil
}

// newConn registers a connection, or closes it and returns nil.
func (s *Server) newConn(nc net.Conn) *conn {
	s.mu.Lock()
	if s.stopping.Load() {
		s.mu.Unlock()
		nc.Close()
		return nil
	}
	if len(s.conns) >= s.cfg.MaxConns {
		s.mu.Unlock()
		s.counters.refused.Add(1)
		s.tooMany.Warn("connection refused: too many are open", "remote", remote(nc), "limit", s.cfg.MaxConns)
		nc.Close()
		return nil
	}
	c := &conn{s: s, nc: rawconn.Wrap(nc)}
	c.now, _ = c.nc.(nowWriter)
	c.room.L = &c.mu
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	s.counters.accepted.Add(1)
	s.counters.connections.Add(1)
	return c
}

// ended takes a connection off the books.
func (s *Server) ended(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.counters.connections.Add(-1)
	s.wg.Done()
}

// Shutdown stops the server without dropping a request: it closes the listeners, answers the requests that have
// arrived, closes the connections, and returns when no store call is left. When ctx is done before that, it closes
// everything at once and returns the context's error, without waiting for the store.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop(time.Now().Add(lastReads))
	done := make(chan struct{})
	go func() {
		s.wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.abort()
		return ctx.Err()
	}
}

// Close closes the listeners and the connections at once, ends the contexts of the store calls that are under way, and
// waits for these to return. It may be called more than once, also after or during Shutdown.
func (s *Server) Close() error {
	s.stop(time.Now())
	s.abort()
	s.wait()
	return nil
}

// stop ends accepting, and reading at the given time.
func (s *Server) stop(readUntil time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() {
		return
	}
	s.stopAt = readUntil
	s.stopping.Store(true)
	close(s.stopped)
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.nc.SetReadDeadline(readUntil)
	}
}

// abort cuts all connections and ends the contexts of their store calls.
func (s *Server) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.abort()
	}
}

// wait returns when the connections have ended and every goroutine with them.
func (s *Server) wait() {
	s.wg.Wait()
	s.workers.close()
	s.workers.wg.Wait()
	s.badPeers.Close("connections closed")
	s.badStore.Close("store errors")
	s.tooMany.Close("connections or requests refused")
}

// remote names a connection's peer for the log; those on unix sockets have no name of their own.
func remote(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil && a.String() != "" && a.String() != "@" {
		return a.String()
	}
	if a := nc.LocalAddr(); a != nil {
		return "a peer on " + a.String()
	}
	return "unknown"
}

// statusOf is what to tell the client about a store's error, and whether the log should hear of it.
func statusOf(err error) (status wire.Status, loud bool) {
	if err == nil {
		return wire.OK, false
	}
	if errors.As(err, &status) {
		return status, false
	}
	return wire.Disconnected, !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}
