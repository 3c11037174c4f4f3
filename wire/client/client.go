package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/distcache/distcache/internal/rawconn"
	"github.com/distcache/distcache/wire"
)

// Defaults of a Client.
const (
	DefaultTimeout     = 3 * time.Second
	DefaultDialTimeout = 3 * time.Second
)

// After a failure to connect, or a connection that was lost without a single answer, the next attempt waits for this
// long, doubled each time; calls in between fail at once.
const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = time.Second
)

// An Option changes a Client's defaults.
type Option func(*Client)

// WithTimeout bounds calls whose context has no deadline of its own; DefaultTimeout unless given.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// WithDialTimeout bounds each attempt to connect; DefaultDialTimeout unless given.
func WithDialTimeout(d time.Duration) Option { return func(c *Client) { c.dialTimeout = d } }

// WithMaxInFlight sets how many calls may be under way at once, DefaultMaxInFlight unless given; more wait their turn.
func WithMaxInFlight(n int) Option { return func(c *Client) { c.cfg.MaxInFlight = n } }

// WithTLS sets what to connect with to an address TLS:HOST:PORT. If config has no ServerName, the server's certificate
// must be for HOST.
func WithTLS(config *tls.Config) Option { return func(c *Client) { c.tls = &wire.TLS{Config: config} } }

// WithSocketUser names users, by number, who may listen on the unix socket that the client connects to, besides root and the
// user of this process. Others are refused: a path such as /tmp/scache can be anybody's.
func WithSocketUser(uids ...int) Option { return func(c *Client) { c.users = uids } }

// WithDialer sets how to connect, for a connection that is to be wrapped. The address is then only a name.
func WithDialer(dial func(context.Context) (net.Conn, error)) Option {
	return func(c *Client) { c.dial = dial }
}

// A Client is a session cache on the other side of a connection. Any number of goroutines may call it at once; their
// requests are under way together on the one connection. When that is lost, the next call opens another.
//
// Every call returns when its context is done, and after the client's own timeout when the context has no deadline.
// What a call returns is nil, a [wire.Status] that the server answered (or would have answered: sizes and timeouts
// are held against the protocol's ranges first), or an error of this package's group. Get and Have are asked a second
// time, on a new connection, when the first was lost with them under way. Add and Remove never are: ErrLost leaves it
// to the caller, who alone knows whether asking again is harmless.
type Client struct {
	timeout     time.Duration
	dialTimeout time.Duration
	dial        func(context.Context) (net.Conn, error)
	tls         *wire.TLS
	users       []int // who may listen on a unix socket
	cfg         ConnConfig
	stop        context.CancelFunc // ends a dial under way
	stopped     context.Context
	dials       singleflight.Group // one attempt to connect, shared by all calls that wait for it

	mu       sync.Mutex
	conn     *Conn
	born     time.Time
	failures int       // in a row
	notUntil time.Time // the earliest next attempt
	lastErr  error
	closed   bool
}

// Dial makes a Client of a server's address, as in "IP:localhost:9001" or "UNIX:/tmp/scache" (see
// [wire.ParseAddress]), and connects to it. A server that can't be reached is an error; after that the Client looks
// after its connection itself.
func Dial(address string, opts ...Option) (*Client, error) {
	c, err := New(address, opts...)
	if err != nil {
		return nil, err
	}
	return c.connected(address)
}

// At is Dial of an address that is parsed already, and may have been given a TLS configuration.
func At(a wire.Address, opts ...Option) (*Client, error) {
	c := build(opts)
	if c.dial == nil {
		c.dial = rawconn.OwnedBy(a.Dial, c.users...)
	}
	return c.connected(a.String())
}

// connected returns the client once it has connected.
func (c *Client) connected(address string) (*Client, error) {
	if _, err := c.connection(context.Background()); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return c, nil
}

// New is Dial without connecting: the first call does that.
func New(address string, opts ...Option) (*Client, error) {
	c := build(opts)
	if c.dial == nil {
		a, err := wire.ParseAddress(address)
		if err != nil {
			return nil, err
		}
		c.dial = rawconn.OwnedBy(a.WithTLS(c.tls).Dial, c.users...)
	}
	return c, nil
}

func build(opts []Option) *Client {
	c := &Client{timeout: DefaultTimeout, dialTimeout: DefaultDialTimeout}
	for _, o := range opts {
		o(c)
	}
	c.stopped, c.stop = context.WithCancel(context.Background())
	return c
}

// Add stores a session for the given time, of which whole milliseconds count. MatchingSession when a live session has
// that id: it stays as it was.
func (c *Client) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	if err := wire.CheckAdd(id, data, timeout); err != nil {
		return err
	}
	payload := wire.AppendAdd(make([]byte, 0, addOverhead+len(id)+len(data)), id, data, timeout)
	if len(payload) > wire.MaxPayload {
		return wire.DataRange
	}
	return c.status(ctx, wire.OpAdd, payload, false)
}

// addOverhead is what an ADD carries besides id and data.
const addOverhead = 8

// Get returns a live session's data, which belongs to the caller, who does not write to it. NotOK when there is none.
func (c *Client) Get(ctx context.Context, id []byte) ([]byte, error) {
	if err := wire.CheckID(id); err != nil {
		return nil, err
	}
	answer, _, err := c.do(ctx, wire.OpGet, id, true)
	if err != nil {
		return nil, err
	}
	return wire.ParseGet(answer)
}

// Remove deletes a live session; NotOK when there is none.
func (c *Client) Remove(ctx context.Context, id []byte) error {
	if err := wire.CheckID(id); err != nil {
		return err
	}
	return c.status(ctx, wire.OpRemove, id, false)
}

// Have says whether a live session has that id: nil or NotOK.
func (c *Client) Have(ctx context.Context, id []byte) error {
	if err := wire.CheckID(id); err != nil {
		return err
	}
	return c.status(ctx, wire.OpHave, id, true)
}

// Close closes the connection. Calls under way fail with ErrClosed, as do all later ones. It may be called twice.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	conn := c.conn
	c.mu.Unlock()
	c.stop()
	if conn != nil {
		_ = conn.Close()
	}
	_, _, _ = c.dials.Do("", func() (any, error) { return nil, nil }) // waits for the attempt under way
	return nil
}

// status asks for one of the operations whose answer is one byte.
func (c *Client) status(ctx context.Context, op wire.Op, payload []byte, again bool) error {
	answer, conn, err := c.do(ctx, op, payload, again)
	if err != nil {
		return err
	}
	err = wire.ParseStatus(answer)
	if errors.Is(err, wire.ErrCorrupt) {
		conn.Abort(err)
		return fmt.Errorf("%w: %s answered with %d bytes: %w", ErrLost, op, len(answer), err)
	}
	return err
}

// do sends a request and waits for its answer. One that a lost connection left unsent goes to a new one, as does one
// that may be sent again; once.
func (c *Client) do(ctx context.Context, op wire.Op, payload []byte, again bool) ([]byte, *Conn, error) {
	if _, has := ctx.Deadline(); !has && c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	for first := true; ; first = false {
		conn, err := c.connection(ctx)
		if err != nil {
			return nil, nil, err
		}
		answer, err := conn.Do(ctx, op, payload)
		switch {
		case err == nil:
			return answer, conn, nil
		case !first || ctx.Err() != nil || errors.Is(err, ErrClosed):
			return nil, nil, err
		case errors.Is(err, ErrNotSent) && conn.Err() != nil:
		case errors.Is(err, ErrLost) && again && !errors.Is(err, wire.ErrCorrupt):
		default:
			return nil, nil, err
		}
	}
}

// connection returns the connection, after opening a new one when there is none. Errors match ErrNotSent.
func (c *Client) connection(ctx context.Context) (*Conn, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", ErrNotSent, ErrClosed)
	}
	if c.conn != nil {
		if c.conn.Err() == nil {
			defer c.mu.Unlock()
			return c.conn, nil
		}
		c.forget()
	}
	if time.Now().Before(c.notUntil) {
		defer c.mu.Unlock()
		return nil, fmt.Errorf("%w: not connected: %w", ErrNotSent, c.lastErr)
	}
	dialled := c.dials.DoChan("", c.connect) // under mu: an attempt that has ended has left conn or notUntil
	c.mu.Unlock()
	select {
	case r := <-dialled:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*Conn), nil
	case <-ctx.Done():
		return nil, gaveUp(ctx, false)
	}
}

// forget drops a lost connection. A server that takes connections and answers nothing counts as one that can't be
// reached.
func (c *Client) forget() {
	if c.conn.heard.Load() {
		c.failures = 0
	} else {
		c.failed(c.born, c.conn.Err())
	}
	c.conn = nil
}

// failed notes a failure, and when to try again: a while after the attempt.
func (c *Client) failed(tried time.Time, err error) {
	wait := min(minBackoff<<min(c.failures, 10), maxBackoff)
	wait = wait/2 + rand.N(wait/2) // so that a thousand clients don't come back together
	c.failures++
	c.notUntil = tried.Add(wait)
	c.lastErr = err
}

// connect makes an attempt to connect. Its time limit is its own, not that of the call that happened to come first.
func (c *Client) connect() (any, error) {
	ctx, cancel := context.WithTimeout(c.stopped, c.dialTimeout)
	nc, err := c.dial(ctx)
	cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		if err == nil {
			_ = nc.Close()
		}
		return nil, fmt.Errorf("%w: %w", ErrNotSent, ErrClosed)
	case err != nil:
		c.failed(time.Now(), err)
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	c.conn, c.born = NewConn(nc, c.cfg), time.Now()
	return c.conn, nil
}
