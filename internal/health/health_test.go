package health_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/internal/health"
)

func TestSharedAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		release := make(chan struct{})
		bad := errors.New("bad")
		check := health.Shared(func(context.Context) error {
			asked.Add(1)
			<-release
			return bad
		}, time.Second)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := check(t.Context()); err != bad {
					t.Errorf("%v", err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times at once", asked.Load())
		}
		if err := check(t.Context()); err != bad || asked.Load() != 2 {
			t.Errorf("the next one: %v, asked %d times", err, asked.Load())
		}
	})
}

func TestSharedGivesUpOnACheckThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		release := make(chan struct{})
		check := health.Shared(func(context.Context) error {
			asked.Add(1)
			<-release
			return nil
		}, time.Second)
		for range 3 {
			if err := check(t.Context()); !errors.Is(err, health.ErrStuck) {
				t.Errorf("%v", err)
			}
		}
		if asked.Load() != 1 {
			t.Errorf("%d calls hang", asked.Load())
		}
		close(release)
		synctest.Wait()
		if err := check(t.Context()); err != nil {
			t.Errorf("after it came back: %v", err)
		}
	})
}

func TestHandler(t *testing.T) {
	var err error
	h := health.Handler(func(context.Context) error { return err })
	ask := func() (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code, w.Body.String()
	}
	if code, body := ask(); code != 200 || body != "ok\n" {
		t.Errorf("well: %d %q", code, body)
	}
	err = errors.New("no leader")
	if code, body := ask(); code != 503 || body != "no leader\n" {
		t.Errorf("not well: %d %q", code, body)
	}
}

// Await returns when the check returns nil, or when its context ends.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		asked := 0
		err := health.Await(ctx, func(context.Context) error {
			if asked++; asked < 4 {
				return errors.New("not yet")
			}
			return nil
		})
		if err != nil || asked != 4 {
			t.Errorf("asked %d times: %v", asked, err)
		}
		err = health.Await(ctx, func(context.Context) error { return errors.New("never") })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
