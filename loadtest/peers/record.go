package main

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What histograms tell apart: latencies between a microsecond and a minute, to 3 digits.
const (
	leastLatency = int64(time.Microsecond)
	mostLatency  = int64(time.Minute)
)

// maxKinds is how many kinds of error are told apart, and maxText how many bytes of each are kept.
const (
	maxKinds = 10
	maxText  = 200
)

// A recorder takes down answers. Callers are spread over several, so that they don't wait for each other.
type recorder struct {
	mu      sync.Mutex
	latency *hdrhistogram.Histogram // of good answers, in nanoseconds
	errors  tally
}

func newRecorder() *recorder {
	return &recorder{latency: hdrhistogram.New(leastLatency, mostLatency, 3), errors: tally{}}
}

func (r *recorder) good(took time.Duration) {
	r.mu.Lock()
	_ = r.latency.RecordValue(min(max(int64(took), leastLatency), mostLatency))
	r.mu.Unlock()
}

func (r *recorder) bad(err error) {
	r.mu.Lock()
	r.errors.add(err.Error(), 1)
	r.mu.Unlock()
}

// A tally counts errors by what they say.
type tally map[string]uint64

func (t tally) add(what string, n uint64) {
	what = what[:min(len(what), maxText)]
	if _, known := t[what]; !known && len(t) >= maxKinds {
		what = "other errors"
	}
	t[what] += n
}

func (t tally) merge(other tally) {
	for what, n := range other {
		t.add(what, n)
	}
}

func (t tally) total() (sum uint64) {
	for _, n := range t {
		sum += n
	}
	return sum
}
