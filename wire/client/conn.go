package client

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/internal/rawconn"
	"github.com/distcache/distcache/wire"
)

// Defaults of a ConnConfig.
const (
	DefaultMaxInFlight  = 512
	DefaultWriteTimeout = 5 * time.Second
)

// A ConnConfig says what a Conn speaks and how much of it. The zero value is what clients speak to a server.
type ConnConfig struct {
	// Rules are those of the answers; requests go out in the same class, and are held against the same operations
	// and largest payload. The zero value means wire.Responses.
	Rules wire.Rules
	// MaxInFlight is how many requests may be under way, queued ones included: DefaultMaxInFlight when 0.
	MaxInFlight int
	// WriteTimeout is how long the peer may take nothing of what is written before the connection is given up:
	// DefaultWriteTimeout when 0.
	WriteTimeout time.Duration
}

// A Conn is one connection to a server, shared by any number of goroutines: their requests are under way together,
// and answers are matched to them by uid in whatever order they come. It never reconnects: once lost it stays lost,
// Done is closed, and every call fails with ErrNotSent.
//
// Requests go out in the order in which Do and Start were called. Those that come while a write is under way go out
// together in the next one.
type Conn struct {
	nc           net.Conn
	rules        wire.Rules
	writeTimeout time.Duration
	slots        chan struct{} // one element for each request under way
	made         time.Time
	lastHeard    atomic.Int64  // ns after made, so that a step of the clock does no harm
	heard        atomic.Bool   // any answer at all
	done         chan struct{} // closed when the connection is lost
	running      sync.WaitGroup
	calls        sync.Pool // of *call; not shared between connections

	mu       sync.Mutex
	writer   rawconn.Writer
	err      error            // why the connection was lost
	uid      uint32           // of the last request
	pending  map[uint32]*call // requests under way
	queue    queue            // those of pending that have not been written
	out      []byte           // the last that were taken from the queue
	batch    []written        // where these begin in out
	owed     int              // answers that the peer owes, those to callers who gave up included
	owedFrom time.Time        // since when owed has not been 0
}

// NewConn makes a Conn of an open connection, which it then owns. A goroutine reads from it until it is lost or closed.
func NewConn(nc net.Conn, cfg ConnConfig) *Conn {
	if cfg.Rules == (wire.Rules{}) {
		cfg.Rules = wire.Responses
	}
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = DefaultMaxInFlight
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = DefaultWriteTimeout
	}
	c := &Conn{
		nc:           rawconn.Wrap(nc),
		rules:        cfg.Rules,
		writeTimeout: cfg.WriteTimeout,
		slots:        make(chan struct{}, cfg.MaxInFlight),
		done:         make(chan struct{}),
		pending:      make(map[uint32]*call),
		made:         time.Now(),
	}
	c.writer.Init(c.nc, c.writeTimeout, &c.mu, source{c})
	c.running.Go(c.read)
	return c
}

// Do sends a request and waits for its answer's payload, which belongs to the caller, who must not write to it. While
// too many requests are under way it waits for its turn.
//
// It returns as soon as ctx is done; the answer, when it comes later, is dropped. Errors are those of this package's
// group of sentinels; ErrNotSent among them says that nothing of the request left this process. The payload of the
// request is not used after Do has returned.
func (c *Conn) Do(ctx context.Context, op wire.Op, payload []byte) ([]byte, error) {
	if err := c.check(op, payload); err != nil {
		return nil, err
	}
	select {
	case c.slots <- struct{}{}:
	default:
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, gaveUp(ctx, false)
		case <-c.done:
			return nil, c.notSent()
		}
	}
	if ctx.Err() != nil {
		<-c.slots
		return nil, gaveUp(ctx, false)
	}
	k := c.newCall(op)
	if _, err := c.enqueue(k, payload); err != nil {
		c.recycle(k)
		<-c.slots
		return nil, err
	}
	select {
	case <-k.done:
	case <-ctx.Done():
		if removed, sent := c.withdraw(k.uid); removed {
			return nil, gaveUp(ctx, sent)
		}
		<-k.done // answered in the same moment
	}
	answer, err := k.payload, k.err
	c.recycle(k)
	return answer, err
}

// Start sends a request without waiting. When it returns nil, fn is called exactly once, unless Cancel says otherwise:
// with the payload of the answer, which is valid until fn returns, or with an error as Do returns it. Calls of fn come
// from the goroutine that reads from the connection, or from whichever finds that it is lost (from within Abort, if
// that is how): fn must not block, nor call Close.
//
// ErrBusy when too many requests are under way. The payload of the request is not used after Start has returned. There
// is no time limit: the caller has Cancel.
func (c *Conn) Start(op wire.Op, payload []byte, fn func(payload []byte, err error)) (uid uint32, err error) {
	if err := c.check(op, payload); err != nil {
		return 0, err
	}
	select {
	case c.slots <- struct{}{}:
	default:
		return 0, errBusy
	}
	k := c.newCall(op)
	k.fn = fn
	if uid, err = c.enqueue(k, payload); err != nil {
		c.recycle(k)
		<-c.slots
	}
	return uid, err
}

// Cancel gives up waiting for the answer to a request that Start gave this uid. It says whether that came in time:
// then the function given to Start is not called, and sent tells whether anything of the request may have been
// written.
func (c *Conn) Cancel(uid uint32) (canceled, sent bool) { return c.withdraw(uid) }

// Close closes the connection and waits until its goroutines have ended. Requests under way fail with ErrClosed. It
// may be called twice, and at any time except from a function given to Start.
func (c *Conn) Close() error {
	c.Abort(ErrClosed)
	c.running.Wait()
	return nil
}

// Abort closes the connection because of err, which requests under way will wrap, without waiting for anything. It is
// for who finds that an answer's payload makes no sense.
func (c *Conn) Abort(err error) { c.fail(err) }

// Done is closed when the connection is lost or closed.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection was lost, nil while it is not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// InFlight is the number of requests under way, without those whose caller gave up.
func (c *Conn) InFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending)
}

// LastHeard is when the last answer came, or when the Conn was made.
func (c *Conn) LastHeard() time.Time { return c.made.Add(time.Duration(c.lastHeard.Load())) }

// Silence is for how long the peer has owed an answer and given none, 0 when it owes nothing. A peer that is frozen or
// cut off shows by it long before TCP notices. Answers owed to callers who gave up count.
func (c *Conn) Silence() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owed == 0 {
		return 0
	}
	return min(time.Since(c.owedFrom), time.Since(c.LastHeard()))
}

func (c *Conn) check(op wire.Op, payload []byte) error {
	switch {
	case int(op) >= c.rules.Ops:
		return fmt.Errorf("%w: %w: operation %d", ErrNotSent, ErrRequest, op)
	case len(payload) > c.rules.MaxPayload:
		return fmt.Errorf("%w: %w: payload of %d bytes, the most is %d", ErrNotSent, ErrRequest, len(payload), c.rules.MaxPayload)
	}
	return nil
}

// withdraw takes a request back: it removes it from what is pending and, when it has not been written, from the queue.
func (c *Conn) withdraw(uid uint32) (removed, sent bool) {
	c.mu.Lock()
	k := c.pending[uid]
	if k == nil {
		c.mu.Unlock()
		return false, true
	}
	delete(c.pending, uid)
	sent = !k.queued && !k.unsent
	if k.queued {
		c.queue.remove(k)
	}
	c.mu.Unlock()
	c.recycle(k)
	<-c.slots
	return true, sent
}

// notSent is the error of a request that finds the connection lost.
func (c *Conn) notSent() error {
	return fmt.Errorf("%w: %w", ErrNotSent, c.Err())
}
