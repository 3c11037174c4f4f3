package loadtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// preloaders is how many requests of a preload are under way at each address, or over all stores of Open together.
const preloaders = 64

// Session returns the id and data of a preloaded session, counted from 0.
func (b *Bench) Session(n int) (id, data []byte) {
	return b.corpus.id(nil, uint64(n)), b.corpus.data(uint64(n))
}

// preload adds the sessions that the mix reads.
func (b *Bench) preload(ctx context.Context) error {
	if b.Say != nil {
		b.Say(fmt.Sprintf("preloading %d sessions", b.Sessions))
	}
	timeout := b.PreloadTimeout
	if timeout == 0 {
		timeout = min(b.Duration+10*time.Minute, wire.MaxTimeout)
	}
	return b.each(ctx, 0, "preloading", func(s Store, n int) error {
		id, data := b.Session(n)
		return again(wire.MatchingSession, func() error { return s.Add(ctx, id, data, timeout) })
	})
}

// Keep removes the preloaded sessions, except the first few.
func (b *Bench) Keep(ctx context.Context, few int) error {
	err := b.each(ctx, few, "removing", func(s Store, n int) error {
		id, _ := b.Session(n)
		return again(wire.NotOK, func() error { return s.Remove(ctx, id) })
	})
	b.Sessions = few
	return err
}

// each calls do for all preloaded sessions from number from on, many at a time.
func (b *Bench) each(ctx context.Context, from int, what string, do func(s Store, n int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	defer wg.Wait()
	work := func(s preloadStore) {
		for n := int(next.Add(1)) - 1; n < b.Sessions && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
			if err := do(s, n); err != nil {
				stop(fmt.Errorf("%s session %d of %d%s: %w", what, n+1, b.Sessions, s.at, err))
			}
		}
	}
	stores, err := b.preloadStores()
	for _, s := range stores {
		defer closeStore(s.Store)
	}
	if err != nil {
		return err
	}
	for i := range preloaders * max(1, len(b.targets)) {
		wg.Go(func() { work(stores[i%len(stores)]) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

// A preloadStore is a store with its address, in words for errors.
type preloadStore struct {
	Store
	at string
}

// preloadStores are the stores that preload uses: a client for each address, or what Open gives.
func (b *Bench) preloadStores() (stores []preloadStore, err error) {
	if b.Open != nil {
		for i := range preloaders {
			s, err := b.Open(i)
			if err != nil {
				return stores, err
			}
			stores = append(stores, preloadStore{s, ""})
		}
		return stores, nil
	}
	for _, a := range b.targets {
		if !a.up {
			continue
		}
		c, err := newClient(a.Address, b.RequestTimeout)
		if err != nil {
			return stores, err
		}
		stores = append(stores, preloadStore{c, " at " + a.String()})
	}
	return stores, nil
}

// again makes a request a second time if the fate of the first is unknown. The answer done to the second means that the
// first was carried out.
func again(done wire.Status, ask func() error) error {
	err := ask()
	if errors.Is(err, wire.Disconnected) || errors.Is(err, client.ErrLost) || errors.Is(err, client.ErrTimeout) {
		if err = ask(); errors.Is(err, done) {
			return nil
		}
	}
	return err
}
