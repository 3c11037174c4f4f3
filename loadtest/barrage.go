package loadtest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// DefaultMargin is the time around a session's expiry in which a barrage accepts either answer: servers of one cluster
// drop a session within a second, and their clocks may differ a little.
const DefaultMargin = time.Second

// A BarrageConfig says what to check and how hard. Zero values are errors, except where a default is named.
type BarrageConfig struct {
	// Open gives each worker the store that it checks. A store that is an io.Closer is closed in the end. Servers and
	// EachTime are two ways to make this function.
	Open func(worker int) (Store, error)
	// Workers is how many workers check at the same time, each with Sessions of its own. Default 1.
	Workers  int
	Sessions int
	// Ops is the number of operations, of all workers together.
	Ops uint64
	// DataMin and DataMax are the least and the greatest size of a session's data, in bytes.
	DataMin, DataMax int
	// Timeout is the timeout of sessions, give or take up to TimeoutVar.
	Timeout, TimeoutVar time.Duration
	// MinTimeout is what the server raises shorter timeouts to, 0 if it does not.
	MinTimeout time.Duration
	// RequestTimeout is the longest wait for one answer. Default: DefaultRequestTimeout.
	RequestTimeout time.Duration
	// Margin is the time around a session's expiry in which either answer is right. Default: DefaultMargin.
	Margin time.Duration
	// Progress is the number of operations between two lines on Out, 0 for no lines.
	Progress uint64
	Out      io.Writer
}

// Servers connects each worker to one of several addresses in turn. Workers keep their connections.
func Servers(addresses []wire.Address) func(worker int) (Store, error) {
	return func(worker int) (Store, error) {
		a := addresses[worker%len(addresses)]
		return client.At(a, client.WithDialer(a.Dial)) // whoever listens there: nothing of what is sent is secret
	}
}

// EachTime opens a connection for every request. Before the first request it makes sure that a server accepts
// connections.
func EachTime(addresses []wire.Address) func(worker int) (Store, error) {
	return func(worker int) (Store, error) {
		a := addresses[worker%len(addresses)]
		_, err := findTargets(context.Background(), []wire.Address{a})
		return newOneShot([]wire.Address{a}, 0), err
	}
}

// A BarrageResult counts the requests and their answers.
type BarrageResult struct {
	Ops     uint64
	Elapsed time.Duration
	// Answers by operation. Yes: added, or the session is there. No: refused, or the session is not there.
	Yes, No [wire.UserOps]uint64
}

// String is a summary for people.
func (r BarrageResult) String() string {
	rate := float64(r.Ops) / max(r.Elapsed.Seconds(), 1e-9)
	s := fmt.Sprintf("%d operations in %v (%.0f a second)", r.Ops, r.Elapsed.Round(time.Millisecond), rate)
	words := [wire.UserOps][2]string{
		wire.OpAdd: {"added", "refused"}, wire.OpGet: {"found", "absent"},
		wire.OpRemove: {"removed", "absent"}, wire.OpHave: {"there", "absent"},
	}
	for op := range wire.Op(wire.UserOps) {
		s += fmt.Sprintf("\n  %-7s %8d %s, %d %s", op, r.Yes[op], words[op][0], r.No[op], words[op][1])
	}
	return s
}

// RunBarrage checks until all operations are done, an answer is wrong or missing (the error is a *WrongAnswer), or ctx
// is done. The result tells how far it got.
func RunBarrage(ctx context.Context, cfg BarrageConfig) (BarrageResult, error) {
	cfg.Workers = max(cfg.Workers, 1)
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = DefaultRequestTimeout
	}
	if cfg.Margin <= 0 {
		cfg.Margin = DefaultMargin
	}
	if cfg.Sessions < 1 {
		return BarrageResult{}, fmt.Errorf("%d sessions: a barrage needs one at least", cfg.Sessions)
	}
	if cfg.TimeoutVar < 0 || cfg.Timeout < 0 || cfg.Timeout+cfg.TimeoutVar > wire.MaxTimeout {
		return BarrageResult{}, fmt.Errorf(
			"timeout %v and variation %v: they may not be negative, and together not over %v",
			cfg.Timeout, cfg.TimeoutVar, wire.MaxTimeout)
	}
	b := &barrage{cfg: cfg}
	ctx, b.stop = context.WithCancelCause(ctx)
	defer b.stop(nil)
	workers := make([]*checker, cfg.Workers)
	for i := range workers {
		w, err := b.newChecker(i)
		if err != nil {
			return BarrageResult{}, err
		}
		defer closeStore(w.store)
		workers[i] = w
	}
	start := time.Now()
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { w.run(ctx) })
	}
	wg.Wait()
	result := BarrageResult{Elapsed: time.Since(start)}
	for _, w := range workers {
		for op := range result.Yes {
			result.Yes[op] += w.yes[op]
			result.No[op] += w.no[op]
			result.Ops += w.yes[op] + w.no[op]
		}
	}
	return result, context.Cause(ctx)
}

type barrage struct {
	cfg   BarrageConfig
	stop  context.CancelCauseFunc
	given atomic.Uint64 // operations begun
	live  atomic.Int64  // sessions that are there, as far as is known
	out   sync.Mutex
}

// A checker is a worker, with what it knows of its sessions.
type checker struct {
	*barrage
	worker   int
	store    Store
	corpus   *corpus
	rng      *rand.Rand
	sessions []model
	number   uint64 // of the operation under way
	made     uint64 // how many sessions' data it has made
	yes, no  [wire.UserOps]uint64
}

func (b *barrage) newChecker(worker int) (*checker, error) {
	c, err := newCorpus(b.cfg.DataMin, b.cfg.DataMax)
	if err != nil {
		return nil, err
	}
	store, err := b.cfg.Open(worker)
	if err != nil {
		return nil, err
	}
	w := &checker{barrage: b, worker: worker, store: store, corpus: c,
		rng: rand.New(rand.NewPCG(c.seed, uint64(worker))), sessions: make([]model, b.cfg.Sessions)}
	for i := range w.sessions {
		w.sessions[i].id = c.id(nil, uint64(i))
	}
	return w, nil
}

func (w *checker) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.number = w.given.Add(1)
		if w.number > w.cfg.Ops {
			return
		}
		if err := w.one(ctx); err != nil {
			if ctx.Err() == nil {
				w.stop(err)
			}
			return
		}
		if w.cfg.Progress > 0 && w.number%w.cfg.Progress == 0 {
			w.out.Lock()
			fmt.Fprintf(w.cfg.Out, "%d operations, %d sessions\n", w.number, max(0, w.live.Load()))
			w.out.Unlock()
		}
	}
}

// one makes one request and checks the answer.
func (w *checker) one(ctx context.Context) error {
	m := &w.sessions[w.rng.IntN(len(w.sessions))]
	op := wire.Op(w.rng.IntN(wire.UserOps))
	var (
		data    []byte // to add, or the answer to a GET
		timeout time.Duration
	)
	if op == wire.OpAdd {
		w.made++
		data, timeout = w.corpus.data(w.made), w.timeout()
	}
	asked := time.Now()
	reqCtx, cancel := context.WithTimeout(ctx, w.cfg.RequestTimeout)
	got, err := request(reqCtx, w.store, op, m.id, data, timeout)
	if op == wire.OpGet {
		data = got
	}
	cancel()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	was := m.there
	wrong := m.judge(exchange{number: w.number, op: op, asked: asked, answered: time.Now(),
		data: data, timeout: max(timeout, w.cfg.MinTimeout), err: err, margin: w.cfg.Margin})
	if wrong != nil {
		wrong.Number, wrong.Worker, wrong.Op, wrong.ID, wrong.Err = w.number, w.worker, op, shortID(m.id), err
		return wrong
	}
	switch {
	case m.there && !was:
		w.live.Add(1)
	case was && !m.there:
		w.live.Add(-1)
	}
	if err == nil {
		w.yes[op]++
	} else {
		w.no[op]++
	}
	return nil
}

// timeout draws a timeout, in the whole milliseconds of the protocol.
func (w *checker) timeout() time.Duration {
	span := 2*w.cfg.TimeoutVar.Milliseconds() + 1
	return max(0, w.cfg.Timeout+time.Duration(w.rng.Int64N(span)-span/2)*time.Millisecond)
}
