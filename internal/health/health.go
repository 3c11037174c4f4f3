// Package health has the health checks of a service: /healthz and /readyz for load balancers and monitoring, and the
// check behind systemd's watchdog.
package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"
)

// A Check returns nil when all is well, or else what is wrong. It should end with its context.
type Check func(context.Context) error

// awaitPause is how long Await waits before it asks again.
const awaitPause = 100 * time.Millisecond

// ErrStuck is the error of a check that did not return in time.
var ErrStuck = errors.New("no answer in time")

// Shared makes a check that takes no longer than bound, even if the given check hangs. Callers that ask while a check
// is under way share its answer, so that hanging checks don't pile up.
func Shared(check Check, bound time.Duration) Check {
	var asked singleflight.Group
	return func(ctx context.Context) error {
		answer := asked.DoChan("", func() (any, error) {
			ctx, cancel := context.WithTimeout(context.Background(), bound)
			defer cancel()
			return nil, check(ctx)
		})
		late := time.NewTimer(bound)
		defer late.Stop()
		select {
		case r := <-answer:
			return r.Err
		case <-late.C:
			return fmt.Errorf("%w (%v)", ErrStuck, bound)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// bound is how long a service may take to show that it is alive, or ready.
const bound = 2 * time.Second

// Handle adds /healthz, whether a service is alive, and /readyz, whether it can do its work.
func Handle(mux interface{ Handle(string, http.Handler) }, alive, ready Check) {
	mux.Handle("GET /healthz", Handler(Shared(alive, bound)))
	mux.Handle("GET /readyz", Handler(Shared(ready, bound)))
}

// Await waits until the check returns nil, or returns ctx's error when ctx ends before.
func Await(ctx context.Context, check Check) error {
	t := time.NewTicker(awaitPause)
	defer t.Stop()
	for check(ctx) != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	return ctx.Err()
}

// Handler answers 200 when the check returns nil, else 503 with the error.
func Handler(check Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if err := check(r.Context()); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		io.WriteString(w, "ok\n")
	})
}
