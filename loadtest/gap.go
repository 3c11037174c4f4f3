package loadtest

import (
	"sync"
	"sync/atomic"
	"time"
)

// A gap measures the longest time without a good answer. Any number of goroutines may use it.
type gap struct {
	origin time.Time
	last   atomic.Int64 // the last good answer, in ns since the origin

	longest atomic.Int64
	mu      sync.Mutex
	from    int64 // when the longest gap began, in ns since the origin
}

// start begins to measure. The time before does not count.
func (g *gap) start() {
	g.origin = time.Now()
	g.last.Store(0)
}

// good records a good answer at a time since the origin.
func (g *gap) good(at time.Duration) {
	for {
		last := g.last.Load()
		if int64(at) <= last {
			return
		}
		if g.last.CompareAndSwap(last, int64(at)) {
			g.stretch(last, int64(at))
			return
		}
	}
}

// end adds the time since the last good answer.
func (g *gap) end() { g.stretch(g.last.Load(), int64(time.Since(g.origin))) }

func (g *gap) stretch(from, to int64) {
	if to-from <= g.longest.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if to-from > g.longest.Load() {
		g.longest.Store(to - from)
		g.from = from
	}
}

// found returns the longest gap, and when it began, in seconds.
func (g *gap) found() (longest, from float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Duration(g.longest.Load()).Seconds(), time.Duration(g.from).Seconds()
}
