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

// preloaders is how many requests of a preload are under way at each address.
const preloaders = 64

// preload puts the sessions there that the mix reads.
func (b *bench) preload(ctx context.Context) error {
	if b.Say != nil {
		b.Say(fmt.Sprintf("preloading %d sessions", b.Sessions))
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	timeout := b.PreloadTimeout
	if timeout == 0 {
		timeout = min(b.Duration+10*time.Minute, wire.MaxTimeout)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, a := range b.targets {
		if !a.up {
			continue
		}
		c, err := client.New(a.String(), client.WithTimeout(b.RequestTimeout))
		if err != nil {
			return err
		}
		defer c.Close()
		for range preloaders {
			wg.Go(func() {
				for n := next.Add(1) - 1; n < int64(b.Sessions) && ctx.Err() == nil; n = next.Add(1) - 1 {
					if err := b.preloadOne(ctx, c, uint64(n), timeout); err != nil {
						stop(fmt.Errorf("preloading session %d of %d at %s: %w", n+1, b.Sessions, a, err))
					}
				}
			})
		}
	}
	wg.Wait()
	return context.Cause(ctx)
}

// preloadOne adds a session, and once more if it is not known whether that worked.
func (b *bench) preloadOne(ctx context.Context, c *client.Client, n uint64, timeout time.Duration) error {
	id, data := b.corpus.id(nil, n), b.corpus.data(n)
	err := c.Add(ctx, id, data, timeout)
	if errors.Is(err, wire.Disconnected) || errors.Is(err, client.ErrLost) || errors.Is(err, client.ErrTimeout) {
		if err = c.Add(ctx, id, data, timeout); errors.Is(err, wire.MatchingSession) {
			return nil
		}
	}
	return err
}
