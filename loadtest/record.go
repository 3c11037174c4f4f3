package loadtest

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/distcache/distcache/wire"
)

// The range of histograms, in nanoseconds. They have a precision of 3 digits, and of 2 in the time series.
const (
	leastLatency = int64(time.Microsecond)
	mostLatency  = int64(time.Minute)
)

// maxErrors is how many kinds of error are counted separately, and maxErrorText how many bytes of each are kept.
const (
	maxErrors    = 20
	maxErrorText = 200
)

// Interval is the width of a Point of the time series.
const Interval = 100 * time.Millisecond

// A recorder records a benchmark's answers. Workers are spread over several recorders, so that they don't wait for each
// other's locks.
type recorder struct {
	mu      sync.Mutex
	latency [wire.UserOps]*hdrhistogram.Histogram // of good answers
	missed  [wire.UserOps]uint64                  // good answers that say that the session is not there
	errors  map[string]uint64
	failed  [wire.UserOps]uint64
	slot    *hdrhistogram.Histogram // good answers since the last Point
	slotBad uint64
}

func newRecorder() *recorder {
	r := &recorder{errors: make(map[string]uint64), slot: hdrhistogram.New(leastLatency, mostLatency, 2)}
	for op := range r.latency {
		r.latency[op] = hdrhistogram.New(leastLatency, mostLatency, 3)
	}
	return r
}

func (r *recorder) good(op wire.Op, took time.Duration, missed bool) {
	ns := min(max(int64(took), leastLatency), mostLatency)
	r.mu.Lock()
	_ = r.latency[op].RecordValue(ns)
	_ = r.slot.RecordValue(ns)
	if missed {
		r.missed[op]++
	}
	r.mu.Unlock()
}

func (r *recorder) bad(op wire.Op, what string) {
	r.mu.Lock()
	r.count(what)
	r.failed[op]++
	r.slotBad++
	r.mu.Unlock()
}

// count counts an error. The caller holds mu.
func (r *recorder) count(what string) {
	what = what[:min(len(what), maxErrorText)]
	if _, known := r.errors[what]; !known && len(r.errors) >= maxErrors {
		what = "other errors"
	}
	r.errors[what]++
}

// trouble counts an error that belongs to no request: a connection that could not be opened.
func (r *recorder) trouble(what string) {
	r.mu.Lock()
	r.count(what)
	r.slotBad++
	r.mu.Unlock()
}

// A series makes the Points of the time series from several recorders.
type series struct {
	recorders []*recorder
	merged    *hdrhistogram.Histogram
	recent    *hdrhistogram.Histogram // since the last Live
	bad       uint64                  // all errors so far
	points    []Point
}

func newSeries(recorders []*recorder) *series {
	return &series{recorders: recorders, merged: hdrhistogram.New(leastLatency, mostLatency, 2),
		recent: hdrhistogram.New(leastLatency, mostLatency, 2)}
}

// take makes the Point that ends at the given time since the start.
func (s *series) take(at time.Duration) {
	s.merged.Reset()
	var bad uint64
	for _, r := range s.recorders {
		r.mu.Lock()
		s.merged.Merge(r.slot)
		bad += r.slotBad
		r.slot.Reset()
		r.slotBad = 0
		r.mu.Unlock()
	}
	s.recent.Merge(s.merged)
	s.bad += bad
	p := Point{At: at.Seconds(), Good: uint64(s.merged.TotalCount()), Errors: bad}
	if h := s.merged; p.Good > 0 {
		p.P50, p.P99, p.Max = micros(h.ValueAtQuantile(50)), micros(h.ValueAtQuantile(99)), micros(h.Max())
	}
	s.points = append(s.points, p)
}

// live sums up what was recorded since the last call.
func (s *series) live(at, since time.Duration) Live {
	l := Live{At: at, Rate: float64(s.recent.TotalCount()) / since.Seconds(), Errors: s.bad}
	if s.recent.TotalCount() > 0 {
		l.P50 = time.Duration(s.recent.ValueAtQuantile(50))
		l.P99 = time.Duration(s.recent.ValueAtQuantile(99))
	}
	s.recent.Reset()
	return l
}

func micros(ns int64) float64 { return float64(ns) / 1e3 }
