package proxy

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// A Proxy is a [store.Store] that asks servers. Make one with [New]; any number of goroutines may use it at once.
type Proxy struct {
	cfg       Config
	bounds    bounds
	upstreams []*upstream
	current   atomic.Pointer[link] // where requests go; nil: nowhere. Changed under mu.

	refused atomic.Uint64 // requests answered Disconnected because no server took them
	retried atomic.Uint64 // requests sent once more
	unknown atomic.Uint64 // writes whose fate is unknown

	ctx context.Context
	end context.CancelFunc
	wg  sync.WaitGroup

	mu      sync.Mutex // taken before link.mu and the mutex of a connection
	closed  bool
	untried int           // servers that have not been tried yet
	settled chan struct{} // closed when there is a server in use, or all have been tried
}

var _ store.AsyncStore = (*Proxy)(nil)

// New makes a proxy and begins to connect to all its servers. It does not wait for any: see [Proxy.Settle].
func New(cfg Config) (*Proxy, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Proxy{cfg: cfg, bounds: boundsOf(cfg.Timeout), untried: len(cfg.Servers), settled: make(chan struct{})}
	p.ctx, p.end = context.WithCancel(context.Background())
	for i, s := range cfg.Servers {
		p.upstreams = append(p.upstreams, &upstream{
			p: p, server: s, index: i, nudged: make(chan struct{}, 1), since: time.Now(),
			log: cfg.Logger.With("server", s.Name),
		})
	}
	for _, u := range p.upstreams {
		p.wg.Go(u.run)
	}
	return p, nil
}

// Settle waits until a server is in use, or each has been tried once, or ctx is done. It says whether one is in use.
func (p *Proxy) Settle(ctx context.Context) bool {
	select {
	case <-p.settled:
	case <-ctx.Done():
	}
	return p.current.Load() != nil
}

// Close closes the connections. Requests under way, and all later ones, are answered Disconnected. It may be called
// twice.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.current.Store(nil)
	p.mu.Unlock()
	p.end()
	p.wg.Wait()
	return nil
}

// Add implements [store.Store].
func (p *Proxy) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	return p.ask(ctx, &store.Request{Op: store.Add, ID: id, Data: data, Timeout: timeout}).Err
}

// Get implements [store.Store].
func (p *Proxy) Get(ctx context.Context, id []byte) ([]byte, error) {
	r := p.ask(ctx, &store.Request{Op: store.Get, ID: id})
	return r.Data, r.Err
}

// Remove implements [store.Store].
func (p *Proxy) Remove(ctx context.Context, id []byte) error {
	return p.ask(ctx, &store.Request{Op: store.Remove, ID: id}).Err
}

// Have implements [store.Store].
func (p *Proxy) Have(ctx context.Context, id []byte) error {
	return p.ask(ctx, &store.Request{Op: store.Have, ID: id}).Err
}

// ask starts a request and waits for its end, or for that of ctx.
func (p *Proxy) ask(ctx context.Context, r *store.Request) store.Result {
	deadline := time.Now().Add(p.cfg.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	w := make(waiter, 1)
	p.Start(r, deadline, w)
	select {
	case result := <-w:
		return result
	case <-ctx.Done():
		return store.Result{Err: wire.Disconnected}
	}
}

// A waiter waits for the end of a request, and may go away before it.
type waiter chan store.Result

func (w waiter) Done(r store.Result) {
	r.Data = bytes.Clone(r.Data)
	w <- r
}

// operations are the protocol's names of a store's operations.
var operations = [...]wire.Op{
	store.Add: wire.OpAdd, store.Get: wire.OpGet, store.Remove: wire.OpRemove, store.Have: wire.OpHave,
}

// Start implements [store.AsyncStore].
func (p *Proxy) Start(r *store.Request, deadline time.Time, done store.Completion) {
	c := &call{p: p, op: operations[r.Op], deadline: deadline, done: done}
	c.onReply = c.reply
	if r.Op == store.Add {
		if err := wire.CheckAdd(r.ID, r.Data, r.Timeout); err != nil {
			c.end(err)
			return
		}
		c.payload = wire.AppendAdd(make([]byte, 0, wire.AddOverhead+len(r.ID)+len(r.Data)), r.ID, r.Data, r.Timeout)
		if len(c.payload) > wire.MaxPayload {
			c.end(wire.DataRange)
			return
		}
	} else {
		if err := wire.CheckID(r.ID); err != nil {
			c.end(err)
			return
		}
		c.payload = append(c.id[:0], r.ID...)
	}
	p.send(c)
}
