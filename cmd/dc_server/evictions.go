package main

import (
	"context"
	"log/slog"
	"time"
)

const (
	evictionTick  = time.Second // how often it is looked for
	evictionPause = time.Hour   // from one warning to the next
)

// watchEvictions warns when sessions are pushed out before the end of their time, and once an hour while they are.
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
			log.Warn("sessions are pushed out before the end of their time, to keep to the limit (-sessions)",
				"sessions", evicted-told, "limit", limit)
			warned, told = time.Now(), evicted
		}
	}
}
