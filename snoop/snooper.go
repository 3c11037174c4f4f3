package snoop

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/internal/ratelog"
	"github.com/distcache/distcache/internal/serve"
)

// flushTimeout is how long a Snooper that ends waits for its last lines to be written.
const flushTimeout = 2 * time.Second

// A Snooper passes connections on to a server and tells what goes by. Make one with [New], and [Snooper.Run] it once.
type Snooper struct {
	cfg   Config
	tally *tally
	queue *queue
	log   *ratelog.Logger

	stopping atomic.Bool
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]struct{}
	last  uint64 // number of the newest connection
}

// New makes a Snooper. It starts nothing. It fails when the configuration makes no sense.
func New(cfg Config) (*Snooper, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Snooper{cfg: cfg, log: ratelog.New(cfg.Logger), conns: make(map[*conn]struct{})}, nil
}

// Run accepts connections from the listeners and passes them on. When ctx is done, Run cuts all connections and returns
// nil. When all listeners have ended (io.EOF), Run waits for the connections to end and returns nil. When a listener
// fails, Run cuts all connections and returns the error; errors that may pass, such as running out of file descriptors,
// are no failure. Run closes the listeners. When it returns nothing is left running, except for a write to an Output
// that is stuck.
func (s *Snooper) Run(ctx context.Context, listeners ...net.Listener) error {
	s.tally = newTally(time.Now())
	s.queue = newQueue(s.cfg.Output, s.cfg.MaxQueue,
		func(dst []byte, lines uint64) []byte { return s.cfg.append(dst, &dropped{time.Now(), lines}) },
		func(err error) { s.cfg.Logger.Error("no more output; traffic goes on", "error", err) })

	// ctx ends accepting and the connections; served ends the summaries.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var accepting, beside sync.WaitGroup
	served := make(chan struct{})
	failures := make(chan error, len(listeners))
	for _, l := range listeners {
		accepting.Go(func() {
			if err := s.accept(ctx, l); err != nil {
				failures <- err
				cancel()
			}
		})
	}
	stopped := context.AfterFunc(ctx, func() { s.stop(listeners) })
	if s.cfg.Stats && s.cfg.Interval > 0 {
		beside.Go(func() { s.summarize(served) })
	}
	accepting.Wait()
	s.wg.Wait()
	stopped()
	close(served)
	beside.Wait()
	for _, l := range listeners {
		l.Close()
	}
	if s.cfg.Stats {
		s.queue.force(s.sum(s.tally.whole(time.Now())))
	}
	s.queue.close(flushTimeout)
	s.log.Close("connections refused or not accepted")
	close(failures)
	return <-failures
}

// stop closes the listeners and cuts all connections.
func (s *Snooper) stop(listeners []net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping.Store(true)
	for _, l := range listeners {
		l.Close()
	}
	for c := range s.conns {
		c.cut()
	}
}

// accept takes connections from a listener until it has no more, or ctx is done.
func (s *Snooper) accept(ctx context.Context, l net.Listener) error {
	for {
		nc, err := serve.Accept(l, ctx.Done(), s.log)
		if nc == nil {
			return err
		}
		s.start(ctx, nc, l)
	}
}

// start serves a connection, unless too many are open.
func (s *Snooper) start(ctx context.Context, nc net.Conn, l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() {
		nc.Close()
		return
	}
	if len(s.conns) >= s.cfg.MaxConns {
		nc.Close()
		s.tally.count(refused, 1)
		s.log.Warn("connection refused: too many are open", "limit", s.cfg.MaxConns)
		return
	}
	s.last++
	c := newConn(s, nc, s.last, l.Addr().String())
	s.conns[c] = struct{}{}
	s.tally.count(connected, 1)
	s.wg.Go(func() {
		c.run(ctx)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
}

// summarize puts out a summary every interval.
func (s *Snooper) summarize(served <-chan struct{}) {
	tick := time.NewTicker(s.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-served:
			return
		case now := <-tick.C:
			s.queue.put(s.sum(s.tally.interval(now)))
		}
	}
}

func (s *Snooper) sum(sum *summary) []byte {
	sum.dropped = s.queue.dropped()
	return s.cfg.append(nil, sum)
}
