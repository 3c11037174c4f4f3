package main

import (
	"context"
	"log/slog"
	"time"
)

const (
	evictionTick  = time.Second // between two looks at the counter
	evictionPause = time.Hour   // between two warnings
)

// watchEvictions warns when the store begins to evict sessions, and once an hour while that lasts.
func watchEvictions(ctx context.Context, dropped func() (expired, evicted uint64), limit uint64, log *slog.Logger) {
	t := time.NewTicker(evictionTick)
	defer t.Stop()
	var warned time.Time
	var told, seen uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		_, evicted := dropped()
		goesOn := evicted > seen
		seen = evicted
		if goesOn && (warned.IsZero() || time.Since(warned) >= evictionPause) {
			log.Warn("sessions are evicted before they expire, to keep to the limit (-sessions)",
				"sessions", evicted-told, "limit", limit)
			warned, told = time.Now(), evicted
		}
	}
}
