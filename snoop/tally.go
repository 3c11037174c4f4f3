package snoop

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/distcache/distcache/wire"
)

// The range of latencies that histograms tell apart, in microseconds, and their precision in digits.
const (
	leastLatency  = 1
	mostLatency   = int64(10 * time.Minute / time.Microsecond)
	latencyDigits = 3
)

// A tally counts the traffic of all connections: since the last summary, and before it.
type tally struct {
	mu      sync.Mutex
	started time.Time
	last    time.Time // of the last summary
	recent  counts
	total   counts
}

// What is counted, besides messages.
const (
	connected   = iota // connections
	ended              // connections
	unserved           // connections that the server did not take
	refused            // connections that there were too many of
	undecodable        // directions of a connection that broke the protocol
	unanswered         // requests of connections that have ended
	counters
)

// counts are the counts of one period.
type counts struct {
	n     [counters]uint64
	bytes [2]int64
	ops   [wire.UserOps]opCounts
}

type opCounts struct {
	requests, answers, unasked uint64
	bytes                      [2]int64
	statuses                   [256]uint64
	latencies                  *hdrhistogram.Histogram // of the answers with a request; nil for none
	slowest                    time.Duration
}

func newTally(now time.Time) *tally { return &tally{started: now, last: now} }

func (t *tally) count(what, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recent.n[what] += uint64(n)
}

func (t *tally) passed(dir direction, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recent.bytes[dir] += int64(n)
}

func (t *tally) request(l *exchanged) {
	t.mu.Lock()
	defer t.mu.Unlock()
	op := &t.recent.ops[l.op]
	op.requests++
	op.bytes[toServer] += l.wire
}

func (t *tally) answer(l *exchanged) {
	t.mu.Lock()
	defer t.mu.Unlock()
	op := &t.recent.ops[l.op]
	op.answers++
	op.bytes[toClient] += l.wire
	op.statuses[l.status]++
	if !l.asked {
		op.unasked++
		return
	}
	op.slowest = max(op.slowest, l.latency)
	if op.latencies == nil {
		op.latencies = hdrhistogram.New(leastLatency, mostLatency, latencyDigits)
	}
	us := max(leastLatency, min(mostLatency, l.latency.Microseconds()))
	_ = op.latencies.RecordValue(us) // it is in range
}

// A summary is the counts of a period.
type summary struct {
	counts
	from, to time.Time
	whole    bool // since the start, rather than since the last summary
	open     int
	dropped  uint64 // lines, since the start
}

// interval is the summary of the time since interval was last called.
func (t *tally) interval(now time.Time) *summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total.add(&t.recent)
	s := &summary{counts: t.recent, from: t.last, to: now, open: t.total.open()}
	t.recent, t.last = counts{}, now
	return s
}

// whole is the summary since the start.
func (t *tally) whole(now time.Time) *summary {
	t.interval(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	return &summary{counts: t.total, from: t.started, to: now, whole: true, open: t.total.open()}
}

// open is how many connections are open now, if c counts since the start.
func (c *counts) open() int { return int(c.n[connected] - c.n[ended]) }

func (c *counts) add(more *counts) {
	for what, n := range more.n {
		c.n[what] += n
	}
	c.bytes[toServer] += more.bytes[toServer]
	c.bytes[toClient] += more.bytes[toClient]
	for op := range c.ops {
		c.ops[op].add(&more.ops[op])
	}
}

func (c *opCounts) add(more *opCounts) {
	c.requests += more.requests
	c.answers += more.answers
	c.unasked += more.unasked
	c.bytes[toServer] += more.bytes[toServer]
	c.bytes[toClient] += more.bytes[toClient]
	for status, n := range more.statuses {
		c.statuses[status] += n
	}
	c.slowest = max(c.slowest, more.slowest)
	switch {
	case more.latencies == nil:
	case c.latencies == nil:
		c.latencies = hdrhistogram.Import(more.latencies.Export())
	default:
		c.latencies.Merge(more.latencies)
	}
}

// all is the sum of all operations.
func (c *counts) all() *opCounts {
	sum := new(opCounts)
	for op := range c.ops {
		sum.add(&c.ops[op])
	}
	return sum
}

// quantile is the latency that the given percentage of the answers did not exceed.
func (c *opCounts) quantile(percent float64) time.Duration {
	if c.latencies == nil {
		return 0
	}
	return min(c.slowest, time.Duration(c.latencies.ValueAtQuantile(percent))*time.Microsecond)
}
