package serve

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/internal/ratelog"
	"github.com/distcache/distcache/internal/rawconn"
)

// ErrClosed is what Serve and ServeConn return when the server was shut down before they were called.
var ErrClosed error = closed{}

type closed struct{}

func (closed) Error() string { return "server: closed" }

// Is makes ErrClosed match net.ErrClosed, for callers that know only sockets.
func (closed) Is(target error) bool { return target == net.ErrClosed }

// lastReads is how long connections are still read once Shutdown has begun: requests that have arrived by then are
// answered.
const lastReads = 10 * time.Millisecond

// A Config is what [New] builds a server from. Open and MaxMessage are required.
type Config struct {
	// Open makes the session for a new connection.
	Open func(*Conn) Session
	// MaxMessage is the most bytes of one request on the wire.
	MaxMessage int
	// Ordered makes the answers on a connection go out in the order of the requests.
	Ordered bool
	// Inline makes the goroutine that begins a request carry it out, rather than a worker: Request.Do must not wait.
	Inline bool
	// Logger hears of bad connections and refused requests. Default: no log.
	Logger *slog.Logger
	Limits
}

// A Server serves one protocol on any number of listeners and connections. Make one with [New]. All methods may be
// called at the same time.
type Server struct {
	cfg      Config
	workers  workers
	counters counters

	badPeers, tooMany *ratelog.Logger
	limited           []limited

	stopping atomic.Bool
	stopAt   time.Time     // when connections are no longer read; set before stopping is
	stopped  chan struct{} // closed when stopping is set

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
	wg        sync.WaitGroup // for the connections
}

// New makes a server. It starts nothing. It fails when a limit makes no sense.
func New(cfg Config) (*Server, error) {
	var err error
	if cfg.Limits, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg:       cfg,
		stopped:   make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*Conn]struct{}),
	}
	s.badPeers = s.RateLimited("connections closed")
	s.tooMany = s.RateLimited("connections or requests refused")
	return s, nil
}

// limited is a rate-limited log, with the message for the lines that were left out in the end.
type limited struct {
	*ratelog.Logger
	msg string
}

// RateLimited makes a log for what clients can cause. When the server is closed, a line with msg counts the lines that
// were left out. RateLimited is called before the server serves.
func (s *Server) RateLimited(msg string) *ratelog.Logger {
	l := limited{ratelog.New(s.cfg.Logger), msg}
	s.limited = append(s.limited, l)
	return l.Logger
}

// Serve accepts connections from l and serves them until the server is closed, which closes l, or until l ends with
// io.EOF. Then it returns nil. It sits out errors of l that may pass, such as running out of file descriptors; any
// other error ends it. Several listeners may be served at the same time.
func (s *Server) Serve(l net.Listener) error {
	ended := make(chan error, 1)
	if loop := s.newShortLoop(l, ended); loop != nil {
		return s.serve(loop, loop, ended)
	}
	return s.serve(l, &acceptor{s: s, l: l, ended: ended}, ended)
}

// serve runs t, which accepts connections from l, until t sends why it has ended.
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

// ServeConn serves one connection until it ends, and closes it. The error is ErrClosed if the connection was not served
// because the server is closed or has MaxConns already. Otherwise it is nil: what goes wrong on a connection is logged.
func (s *Server) ServeConn(nc net.Conn) error {
	c := s.newConn(nc)
	if c == nil {
		return ErrClosed
	}
	c.run()
	return nil
}

// newConn registers a connection, or closes it and returns nil.
func (s *Server) newConn(nc net.Conn) *Conn {
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
	c := &Conn{s: s, nc: rawconn.Wrap(nc)}
	c.room.L = &c.mu
	c.writer.Init(c.nc, s.cfg.WriteTimeout, &c.mu, source{c})
	c.session = s.cfg.Open(c)
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	s.counters.accepted.Add(1)
	s.counters.connections.Add(1)
	return c
}

// ended removes a connection that has ended.
func (s *Server) ended(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.counters.connections.Add(-1)
	s.wg.Done()
}

// Shutdown stops the server without dropping a request: it closes the listeners, answers the requests that have
// arrived, closes the connections, and returns when all workers are done. When ctx ends before, Shutdown closes
// everything at once and returns ctx's error, without waiting for the requests.
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

// Close closes the listeners and the connections at once, ends the contexts of the requests under way, and waits for
// the workers that carry them out. It may be called more than once, also after or during Shutdown.
func (s *Server) Close() error {
	s.stop(time.Now())
	s.abort()
	s.wait()
	return nil
}

// stop ends accepting at once, and reading at the given time.
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

// abort closes all connections and ends the contexts of their requests.
func (s *Server) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.abort()
	}
}

// wait waits until the connections have ended, and all goroutines with them.
func (s *Server) wait() {
	s.wg.Wait()
	s.workers.close()
	s.workers.wg.Wait()
	for _, l := range s.limited {
		l.Close(l.msg)
	}
}

// remote names a connection's peer for the log. Peers on unix sockets have no name of their own.
func remote(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil && a.String() != "" && a.String() != "@" {
		return a.String()
	}
	if a := nc.LocalAddr(); a != nil {
		return "a peer on " + a.String()
	}
	return "unknown"
}
