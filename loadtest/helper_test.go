package loadtest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

func newMemory(t *testing.T) *store.Memory {
	m := store.NewMemory(0)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// serve runs a server over the store until the test ends or stop is called, at the given address or at a free one.
func serve(t *testing.T, store Store, at string) (address wire.Address, stop func()) {
	t.Helper()
	if at == "" {
		free, err := procs.FreeAddresses(1) // stays ours while nobody listens there
		if err != nil {
			t.Fatal(err)
		}
		at = free[0]
	}
	s, err := server.New(server.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	l := testutil.Listen(t, "tcp", at)
	testutil.Serve(t, l, s)
	return testutil.At(t, l), func() { _ = s.Close() }
}

// measured runs a benchmark until enough is true of its result. The benchmark's own duration does not count.
func measured(t *testing.T, cfg BenchConfig, enough func(*Result) bool) *Result {
	t.Helper()
	return measuredBy(t, cfg, (*Bench).start, enough)
}

// measuredBy is measured, with start as the way to start workers.
func measuredBy(t *testing.T, cfg BenchConfig, start func(*Bench, context.Context, *sync.WaitGroup) error,
	enough func(*Result) bool) *Result {
	t.Helper()
	cfg.Duration = time.Hour
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = testutil.Patience
	}
	b, err := NewBench(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.ready()
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience)
	defer cancel()
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			var r Result
			if r.fill(b.recorders, time.Second); enough(&r) {
				cancel()
			}
		}
	})
	r, err := b.measure(ctx, func(ctx context.Context, wg *sync.WaitGroup) error { return start(b, ctx, wg) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fourKinds tells whether there are good answers to each kind of request.
func fourKinds(r *Result) bool {
	return len(r.Ops) == 4 && !slices.ContainsFunc(r.Ops, func(o OpResult) bool { return o.Good == 0 })
}

// A badStore is a right store, except that it does one thing wrong at every nth opportunity.
type badStore struct {
	Store
	every int64
	count atomic.Int64

	lose      bool // ADD says OK and stores nothing
	resurrect bool // REMOVE says OK and removes nothing
	alter     bool // GET changes a byte
	cut       bool // GET leaves the last byte out
	duplicate bool // ADD of a session that is there says OK
	replace   bool // ADD of a session that is there replaces it, and says MATCHING_SESSION
	deny      bool // ADD of a new session adds it, and says MATCHING_SESSION
	forget    bool // GET finds nothing
	absent    bool // HAVE finds a session that is not there
	early     bool // sessions live half their time
	immortal  bool // sessions live an hour longer
	fail      bool // requests are answered DISCONNECTED, every other one after it has been carried out
}

func (b *badStore) now() bool { return b.count.Add(1)%b.every == 0 }

func (b *badStore) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	switch {
	case b.early:
		timeout /= 2
	case b.immortal:
		timeout += time.Hour
	}
	there := b.Store.Have(ctx, id) == nil
	switch {
	case b.fail && b.now():
		if b.count.Load()/b.every%2 == 0 {
			_ = b.Store.Add(ctx, id, data, timeout)
		}
		return wire.Disconnected
	case b.lose && !there && b.now(), b.duplicate && there && b.now():
		return nil
	case b.replace && there && b.now():
		_ = b.Store.Remove(ctx, id)
		_ = b.Store.Add(ctx, id, data, timeout)
		return wire.MatchingSession
	case b.deny && !there && b.now():
		_ = b.Store.Add(ctx, id, data, timeout)
		return wire.MatchingSession
	}
	return b.Store.Add(ctx, id, data, timeout)
}

func (b *badStore) Get(ctx context.Context, id []byte) ([]byte, error) {
	data, err := b.Store.Get(ctx, id)
	switch {
	case err != nil:
	case b.alter && b.now():
		data = append([]byte(nil), data...)
		data[len(data)-1]++
	case b.cut && b.now():
		data = data[:len(data)-1]
	case b.forget && b.now():
		return nil, wire.NotOK
	}
	return data, err
}

func (b *badStore) Remove(ctx context.Context, id []byte) error {
	switch {
	case b.resurrect && b.Store.Have(ctx, id) == nil && b.now():
		return nil
	case b.fail && b.now():
		if b.count.Load()/b.every%2 == 0 {
			_ = b.Store.Remove(ctx, id)
		}
		return wire.Disconnected
	}
	return b.Store.Remove(ctx, id)
}

func (b *badStore) Have(ctx context.Context, id []byte) error {
	err := b.Store.Have(ctx, id)
	if err != nil && b.absent && b.now() {
		return nil
	}
	return err
}
