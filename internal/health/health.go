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

// A Check returns nil when all is well, else what is wrong. It should return when its context ends.
type Check func(context.Context) error

// awaitPause is the time between two checks of Await.
const awaitPause = 100 * time.Millisecond

// ErrStuck is the error of a check that did not return in time.
var ErrStuck = errors.New("no answer in time")

// Shared makes a check that returns within bound, even if the given check hangs. Calls while a check is under way share
// its result, so that hanging checks don't pile up.
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

// bound is how long a check of a service may take.
const bound = 2 * time.Second

// Handle adds /healthz, which tells whether a service is alive, and /readyz, which tells whether it can do its work.
func Handle(mux interface{ Handle(string, http.Handler) }, alive, ready Check) {
	mux.Handle("GET /healthz", Handler(Shared(alive, bound)))
	mux.Handle("GET /readyz", Handler(Shared(ready, bound)))
}

// Await calls the check until it returns nil, and returns nil. When ctx ends before, it returns ctx's error.
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

// Handler answers 200 when the check returns nil, else 503 with the check's error.
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
