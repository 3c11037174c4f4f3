package loadtest

import (
	"sync/atomic"
	"time"
)

// A gap follows the longest time without a good answer. Any number of goroutines may use it.
type gap struct {
	origin  time.Time
	last    atomic.Int64 // since the origin, ns
	longest atomic.Int64
}

// start begins anew: what was before does not count.
func (g *gap) start() {
	g.origin = time.Now()
	g.last.Store(0)
}

// good notes a good answer at that time since the origin.
func (g *gap) good(at time.Duration) {
	for {
		last := g.last.Load()
		if int64(at) <= last {
			return
		}
		if g.last.CompareAndSwap(last, int64(at)) {
			g.stretch(int64(at) - last)
			return
		}
	}
}

// end counts the time since the last good answer too.
func (g *gap) end() { g.stretch(int64(time.Since(g.origin)) - g.last.Load()) }

func (g *gap) stretch(n int64) {
	for {
		longest := g.longest.Load()
		if n <= longest || g.longest.CompareAndSwap(longest, n) {
			return
		}
	}
}
