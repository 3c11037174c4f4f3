package loadtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/distcache/distcache/wire"
)

// A BenchConfig says what load to put on servers.
type BenchConfig struct {
	// Addresses are those of the servers. Workers are spread over them. A worker whose server is gone turns to the
	// next.
	Addresses []wire.Address
	// Open, if not nil, gives each worker a store to use in place of Addresses: Servers is one way to make this
	// function. A store that is an io.Closer is closed in the end. A request that is under way at the end is waited
	// for, and not counted.
	Open func(worker int) (Store, error)
	// Rate, with Open, is how many requests a second all workers together make; 0: as many as are answered. The latency
	// of a request counts from the time at which it was due, even if its worker was still waiting for an earlier
	// answer.
	Rate float64
	// Workers is the number of workers. Each has one connection at a time, with Pipeline requests under way.
	Workers, Pipeline int
	// Persistent keeps connections. Without it every request has its own connection, and Pipeline must be 1.
	Persistent bool
	Duration   time.Duration
	Mix        Mix
	// DataMin and DataMax are the least and the greatest size of a session's data, in bytes.
	DataMin, DataMax int
	// Sessions is how many sessions are preloaded if the mix reads any. GET and HAVE ask for these sessions.
	Sessions int
	// Timeout is the timeout of sessions that ADD adds. Preloaded sessions have PreloadTimeout, by default one that
	// outlives the benchmark.
	Timeout, PreloadTimeout time.Duration
	// RequestTimeout is the longest wait for one answer. Default: DefaultRequestTimeout.
	RequestTimeout time.Duration
	// Say, if not nil, is told what goes on before the start.
	Say func(line string)
	// Live, if not nil, is told how the benchmark is doing, about twice a second.
	Live func(Live)
}

// Bounds of a BenchConfig: a load generator that is too large for its machine measures nothing.
const (
	MaxWorkers  = 10_000
	MaxPipeline = 4096
)

func (c *BenchConfig) check() error {
	switch {
	case len(c.Addresses) == 0 && c.Open == nil:
		return errors.New("no address to connect to")
	case c.Workers < 1 || c.Workers > MaxWorkers:
		return fmt.Errorf("%d workers: there must be from 1 to %d", c.Workers, MaxWorkers)
	case c.Pipeline < 1 || c.Pipeline > MaxPipeline:
		return fmt.Errorf("%d requests in flight on a connection: it must be from 1 to %d", c.Pipeline, MaxPipeline)
	case c.Pipeline > 1 && !c.Persistent:
		return errors.New("several requests in flight need connections that are kept")
	case c.Rate < 0 || c.Rate > 0 && c.Open == nil:
		return fmt.Errorf("a rate of %v: only workers with stores keep to one", c.Rate)
	case c.Duration <= 0:
		return fmt.Errorf("a duration of %v", c.Duration)
	case c.Mix.reads() && c.Sessions < 1:
		return fmt.Errorf("%d sessions to read", c.Sessions)
	case c.Timeout < 0 || c.Timeout > wire.MaxTimeout:
		return fmt.Errorf("timeout %v: it must be from 0 to %v", c.Timeout, wire.MaxTimeout)
	}
	return c.Mix.check()
}

// A Bench is a benchmark that is ready to run. Between runs its settings may be changed, except those of the preloaded
// sessions.
type Bench struct {
	BenchConfig
	targets   []target
	corpus    *corpus
	streams   int // made so far: no two streams add the same sessions
	recorders []*recorder
	gap       gap
}

// RunBench puts a load on servers until Duration is over or ctx is done, and returns what it has measured. It survives
// failures of the servers: it counts them, and opens connections again. An error means that it could not start.
func RunBench(ctx context.Context, cfg BenchConfig) (*Result, error) {
	b, err := NewBench(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return b.Run(ctx)
}

// NewBench makes a benchmark ready: it checks cfg and the servers, and preloads sessions.
func NewBench(ctx context.Context, cfg BenchConfig) (*Bench, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = DefaultRequestTimeout
	}
	c, err := newCorpus(cfg.DataMin, cfg.DataMax)
	if err != nil {
		return nil, err
	}
	b := &Bench{BenchConfig: cfg, corpus: c}
	if cfg.Open == nil {
		if b.targets, err = findTargets(ctx, cfg.Addresses); err != nil {
			return nil, err
		}
	}
	if !cfg.Mix.reads() {
		b.Sessions = 0
	}
	if b.Sessions > 0 {
		if err := b.preload(ctx); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Run measures once, with the sessions that are there already.
func (b *Bench) Run(ctx context.Context) (*Result, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	b.ready()
	return b.measure(ctx, b.start)
}

// ready makes the recorders of a run.
func (b *Bench) ready() {
	b.recorders = nil
	for range min(b.Workers, 2*runtime.GOMAXPROCS(0)) {
		b.recorders = append(b.recorders, newRecorder())
	}
	b.gap = gap{}
}

// start starts the workers, which run until ctx is done, in the cheapest way for the settings.
func (b *Bench) start(ctx context.Context, wg *sync.WaitGroup) error {
	switch {
	case b.Open != nil:
		return b.startAskers(ctx, wg, b.Open)
	case b.Pipeline > 1 || !b.startLoops(ctx, wg):
		return b.startWorkers(ctx, wg)
	}
	return nil
}

func (b *Bench) measure(ctx context.Context, start func(context.Context, *sync.WaitGroup) error) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Duration)
	defer cancel()
	var wg sync.WaitGroup
	b.gap.start()
	if err := start(ctx, &wg); err != nil {
		return nil, err
	}
	points := b.watch(ctx)
	elapsed := time.Since(b.gap.origin)
	b.gap.end()
	wg.Wait()
	r := &Result{Mix: b.Mix.String(), Workers: b.Workers, Pipeline: b.Pipeline, Persistent: b.Persistent,
		DataMin: b.DataMin, DataMax: b.DataMax, Sessions: b.Sessions, SessionTimeout: b.Timeout.Seconds(),
		Started: b.gap.origin.Round(0), Series: points}
	r.LongestGap, r.LongestGapFrom = b.gap.found()
	for _, a := range b.Addresses {
		r.Addresses = append(r.Addresses, a.String())
	}
	r.fill(b.recorders, elapsed)
	return r, nil
}

// startWorkers starts a goroutine for each worker.
func (b *Bench) startWorkers(ctx context.Context, wg *sync.WaitGroup) error {
	if !b.Persistent {
		return b.startAskers(ctx, wg, func(i int) (Store, error) { return newOneShot(b.Addresses, i), nil })
	}
	for i := range b.Workers {
		w := newPipeliner(b, i)
		wg.Go(func() { w.run(ctx) })
	}
	return nil
}

// watch makes the time series, until ctx is done.
func (b *Bench) watch(ctx context.Context) []Point {
	const perLive = int(500 * time.Millisecond / Interval)
	s := newSeries(b.recorders)
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	shown := b.gap.origin
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.take(time.Since(b.gap.origin))
			return s.points
		}
		now := time.Now()
		s.take(now.Sub(b.gap.origin))
		if b.Live != nil && n%perLive == 0 {
			b.Live(s.live(now.Sub(b.gap.origin), now.Sub(shown)))
			shown = now
		}
	}
}

// at is the time since the start.
func (b *Bench) at() time.Duration { return time.Since(b.gap.origin) }
