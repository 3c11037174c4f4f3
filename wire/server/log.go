package server

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A throttle is a logger for what peers can cause: a burst of lines, then one a second, each of which says how many
// were left out before it.
type throttle struct {
	log        *slog.Logger
	limit      *rate.Limiter
	suppressed atomic.Uint64
}

func newThrottle(log *slog.Logger) *throttle {
	return &throttle{log: log, limit: rate.NewLimiter(rate.Every(time.Second), 10)}
}

func (t *throttle) warn(msg string, args ...any) {
	if !t.limit.Allow() {
		t.suppressed.Add(1)
		return
	}
	if n := t.suppressed.Swap(0); n > 0 {
		args = append(args, "suppressed", n)
	}
	t.log.Warn(msg, args...)
}

// close reports what was left out and not yet told.
func (t *throttle) close(msg string) {
	if n := t.suppressed.Swap(0); n > 0 {
		t.log.Warn(msg, "suppressed", n)
	}
}
