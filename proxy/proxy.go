package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
)

// A Proxy is a [server.Store] that asks servers. Make one with [New]; any number of goroutines may use it at once.
type Proxy struct {
	cfg       Config
	bounds    bounds
	upstreams []*upstream
	current   atomic.Pointer[link] // where requests go; nil: nowhere. Changed under mu.

	refused atomic.Uint64 // requests answered Disconnected because no server took them
	again   atomic.Uint64 // requests asked once more
	unknown atomic.Uint64 // writes whose fate is unknown

	ctx context.Context
	end context.CancelFunc
	wg  sync.WaitGroup

	mu      sync.Mutex // after it, link.mu and that of a connection may be taken
	closed  bool
	untried int           // servers that have not been tried yet
	settled chan struct{} // closed when there is a server in use, or all have been tried
}

var _ server.Starter = (*Proxy)(nil)

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
			p: p, server: s, index: i, nudge: make(chan struct{}, 1), since: time.Now(),
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

// Add implements [server.Store].
func (p *Proxy) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	_, err := p.ask(ctx, wire.OpAdd, id, data, timeout)
	return err
}

// Get implements [server.Store].
func (p *Proxy) Get(ctx context.Context, id []byte) ([]byte, error) {
	return p.ask(ctx, wire.OpGet, id, nil, 0)
}

// Remove implements [server.Store].
func (p *Proxy) Remove(ctx context.Context, id []byte) error {
	_, err := p.ask(ctx, wire.OpRemove, id, nil, 0)
	return err
}

// Have implements [server.Store].
func (p *Proxy) Have(ctx context.Context, id []byte) error {
	_, err := p.ask(ctx, wire.OpHave, id, nil, 0)
	return err
}

// ask starts a request and waits for its end, or for that of ctx.
func (p *Proxy) ask(ctx context.Context, op wire.Op, id, data []byte, timeout time.Duration) ([]byte, error) {
	deadline := time.Now().Add(p.cfg.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	w := waiter{make(chan answer, 1)}
	p.Start(op, id, data, timeout, deadline, w)
	select {
	case a := <-w.answer:
		return a.data, a.err
	case <-ctx.Done():
		return nil, wire.Disconnected
	}
}

// A waiter waits for the end of a request, and may go away before it.
type waiter struct{ answer chan answer }

type answer struct {
	data []byte
	err  error
}

func (w waiter) Done(data []byte, err error) {
	w.answer <- answer{append([]byte(nil), data...), err}
}

// Start implements [server.Starter].
func (p *Proxy) Start(op wire.Op, id, data []byte, timeout time.Duration, deadline time.Time, done server.Completion) {
	f := &flight{p: p, op: op, deadline: deadline, done: done}
	f.answered = f.land
	if op == wire.OpAdd {
		if err := wire.CheckAdd(id, data, timeout); err != nil {
			done.Done(nil, err)
			return
		}
		f.payload = wire.AppendAdd(make([]byte, 0, addOverhead+len(id)+len(data)), id, data, timeout)
		if len(f.payload) > wire.MaxPayload {
			done.Done(nil, wire.DataRange)
			return
		}
	} else {
		if err := wire.CheckID(id); err != nil {
			done.Done(nil, err)
			return
		}
		f.payload = append(f.id[:0], id...)
	}
	p.send(f)
}

// addOverhead is what an ADD carries besides id and data.
const addOverhead = 8
