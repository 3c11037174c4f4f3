package main

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/internal/testlog"
)

// Who runs a server hears when sessions begin to be pushed out, and once an hour while they are.
func TestWarnsOfEvictions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var evicted atomic.Uint64
		log := new(testlog.Buffer)
		dropped := func() (uint64, uint64) { return 7, evicted.Load() }
		go watchEvictions(t.Context(), dropped, 100, slog.New(slog.NewTextHandler(log, nil)))
		is := func(after time.Duration, more uint64, warnings int, last string) {
			t.Helper()
			for end := time.Now().Add(after); time.Now().Before(end); time.Sleep(evictionTick) {
				evicted.Add(more)
			}
			synctest.Wait()
			if n := strings.Count(log.String(), "limit=100"); n != warnings || !strings.Contains(log.String(), last) {
				t.Errorf("%d warnings, want %d and %q:\n%s", n, warnings, last, log)
			}
		}
		time.Sleep(evictionTick / 2) // so that it does not look just when the count changes
		is(time.Minute, 0, 0, "")
		is(time.Minute, 2, 1, "sessions=2")
		is(58*time.Minute, 2, 1, "")
		is(2*time.Minute, 2, 2, "sessions=7200")
		is(24*time.Hour, 0, 2, "")
		is(time.Minute, 1, 3, "sessions=119")
	})
}
