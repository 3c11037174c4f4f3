package raftstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
)

func TestOrigin(t *testing.T) {
	o := newClientSession()
	if o.id == newClientSession().id {
		t.Error("two processes have one origin")
	}
	for want := uint64(1); want <= 4; want++ {
		if got := o.begin(); got != want {
			t.Fatalf("request %d, want %d", got, want)
		}
	}
	low := func(want uint64) {
		t.Helper()
		if id := o.identity(4); id.Low != want || id.Counter != 4 || id.Origin != o.id {
			t.Errorf("%+v, want the lowest that waits to be %d", id, want)
		}
	}
	low(1)
	o.end(2)
	low(1)
	o.end(1)
	low(3)
	o.end(3)
	low(4)
	o.end(4)
	if c := o.begin(); c != 5 {
		t.Errorf("request %d, want 5", c)
	}
	if id := o.identity(5); id.Low != 5 {
		t.Errorf("%+v, want the lowest that waits to be 5", id)
	}
}

// What an identity says is always right: nobody waits for less than Low, which never falls, and no number is given
// twice. What is kept does not grow with the requests that have ended.
func TestOriginAtRandom(t *testing.T) {
	const seed = 3
	r := rand.New(rand.NewPCG(seed, seed))
	o := newClientSession()
	waiting := map[uint64]bool{}
	var last, low uint64
	for range 50_000 {
		if len(waiting) < 1+r.IntN(30) {
			c := o.begin()
			if c != last+1 {
				t.Fatalf("seed %d: request %d after %d", seed, c, last)
			}
			last, waiting[c] = c, true
			continue
		}
		for c := range waiting { // whichever comes
			id := o.identity(c)
			if id.Low < low {
				t.Fatalf("seed %d: low fell from %d to %d", seed, low, id.Low)
			}
			low = id.Low
			for w := range waiting {
				if w < id.Low {
					t.Fatalf("seed %d: %d waits, below %d", seed, w, id.Low)
				}
			}
			o.end(c)
			delete(waiting, c)
			break
		}
		if len(waiting) == 0 && len(o.waiting) != 0 {
			t.Fatalf("seed %d: %d are kept and none waits", seed, len(o.waiting))
		}
	}
	for c := range waiting {
		o.end(c)
	}
	for range 10_000 {
		o.end(o.begin())
	}
	if len(o.waiting) != 0 || cap(o.waiting) > 4096 {
		t.Errorf("%d are kept, %d allocated", len(o.waiting), cap(o.waiting))
	}
}

// Those who write at once share an attempt to open an origin. One that fails is not made again, but another one.
func TestOpener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p clientSessions
		var tried []*clientSession
		let := make(chan error)
		open := func(o *clientSession) error {
			tried = append(tried, o)
			return <-let
		}
		get := func(want error) (first func() *clientSession) {
			var wg sync.WaitGroup
			got := make(chan *clientSession, 5)
			for range cap(got) {
				wg.Go(func() {
					o, err := p.get(t.Context(), open)
					if !errors.Is(err, want) || (o == nil) != (want != nil) {
						t.Errorf("%v, %v; want %v", o, err, want)
					}
					got <- o
				})
			}
			synctest.Wait() // all wait for the first
			return func() *clientSession {
				wg.Wait()
				o := <-got
				for range cap(got) - 1 {
					if other := <-got; other != o {
						t.Error("two sessions are in use")
					}
				}
				return o
			}
		}
		all := get(errRetry)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.get(ctx, open); err != context.Canceled {
			t.Errorf("who can't wait: %v", err)
		}
		let <- errLost
		all()
		all = get(nil)
		let <- nil
		o := all()
		if len(tried) != 2 || tried[0].id == tried[1].id || o != tried[1] {
			t.Errorf("%d attempts", len(tried))
		}
		p.expired(tried[0]) // that is another
		if again, err := p.get(t.Context(), open); again != o || err != nil {
			t.Errorf("it is not kept: %v", err)
		}
		p.expired(o)
		all = get(nil)
		let <- nil
		if all() == o || len(tried) != 3 {
			t.Errorf("one that has expired is still in use, after %d attempts", len(tried))
		}
	})
}
