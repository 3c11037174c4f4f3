package loadtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/distcache/distcache/wire"
)

// A Result is what a benchmark has measured. A good answer is an answer to the question, which includes that a session
// is not there; everything else is an error. Latencies are those of good answers, in microseconds.
type Result struct {
	Mix        string   `json:"mix"`
	Addresses  []string `json:"addresses"`
	Workers    int      `json:"workers"`
	Pipeline   int      `json:"pipeline"`
	Persistent bool     `json:"persistent"`
	DataMin    int      `json:"data_min"`
	DataMax    int      `json:"data_max"`
	Sessions   int      `json:"sessions"` // preloaded
	// SessionTimeout is the timeout of added sessions, in seconds.
	SessionTimeout float64 `json:"session_timeout"`

	Started time.Time         `json:"started"`
	Seconds float64           `json:"seconds"`
	Total   OpResult          `json:"total"`
	Ops     []OpResult        `json:"operations"`
	Errors  map[string]uint64 `json:"errors"` // by status or kind
	// LongestGap is the longest time without a good answer, and LongestGapFrom when it began, in seconds.
	LongestGap     float64 `json:"longest_gap"`
	LongestGapFrom float64 `json:"longest_gap_from"`
	Series         []Point `json:"series"`
}

// An OpResult is the result of one operation, or of all together.
type OpResult struct {
	Op        string  `json:"operation"`
	Good      uint64  `json:"good"`
	Missed    uint64  `json:"missed"` // good answers that the session is not there
	Errors    uint64  `json:"errors"`
	PerSecond float64 `json:"per_second"`
	Latency   Latency `json:"latency_us"`
	// Histogram holds every latency, in nanoseconds.
	Histogram *hdrhistogram.Histogram `json:"-"`
}

// A Latency is a distribution's percentiles, in microseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// A Point is the result of one Interval.
type Point struct {
	At     float64 `json:"at"` // its end, in seconds since the start
	Good   uint64  `json:"good"`
	Errors uint64  `json:"errors"`
	P50    float64 `json:"p50_us"`
	P99    float64 `json:"p99_us"`
	Max    float64 `json:"max_us"`
}

// A Live is the recent result of a benchmark that is under way.
type Live struct {
	At       time.Duration // since the start
	Rate     float64       // good answers a second
	P50, P99 time.Duration
	Errors   uint64 // since the start
}

func (r *Result) fill(recorders []*recorder, elapsed time.Duration) {
	r.Seconds = elapsed.Seconds()
	r.Errors = make(map[string]uint64)
	r.Total = OpResult{Op: "all", Histogram: hdrhistogram.New(leastLatency, mostLatency, 3)}
	for op := range wire.Op(wire.UserOps) {
		o := OpResult{Op: op.String(), Histogram: hdrhistogram.New(leastLatency, mostLatency, 3)}
		for _, rec := range recorders {
			rec.mu.Lock()
			o.Histogram.Merge(rec.latency[op])
			o.Missed += rec.missed[op]
			o.Errors += rec.failed[op]
			rec.mu.Unlock()
		}
		r.Total.Histogram.Merge(o.Histogram)
		r.Total.Missed += o.Missed
		r.Total.Errors += o.Errors
		if o.Histogram.TotalCount() > 0 || o.Errors > 0 {
			o.sumUp(r.Seconds)
			r.Ops = append(r.Ops, o)
		}
	}
	r.Total.sumUp(r.Seconds)
	for _, rec := range recorders {
		rec.mu.Lock()
		for what, n := range rec.errors {
			r.Errors[what] += n
		}
		rec.mu.Unlock()
	}
}

func (o *OpResult) sumUp(seconds float64) {
	o.Good = uint64(o.Histogram.TotalCount())
	o.PerSecond = float64(o.Good) / max(seconds, 1e-9)
	if o.Good == 0 {
		return
	}
	at := func(q float64) float64 { return micros(o.Histogram.ValueAtQuantile(q)) }
	o.Latency = Latency{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: micros(o.Histogram.Max())}
}

// Print writes the result for people.
func (r *Result) Print(w io.Writer) error {
	workers := "workers"
	if r.Workers == 1 {
		workers = "worker"
	}
	fmt.Fprintf(w, "%s on %d %s, %s, %.1f s\n\n", r.Mix, r.Workers, workers, r.connections(), r.Seconds)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\tanswers\tmissed\terrors\tper second\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, o := range r.rows() {
		fmt.Fprintf(tw, "%s\t\n", strings.Join(o.row(decimal), "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nlongest time without a good answer: %s, from %.1f s on\n",
		shown(r.LongestGap*1e6), r.LongestGapFrom)
	if len(r.Errors) == 0 {
		_, err := fmt.Fprintln(w, "no errors")
		return err
	}
	_, err := fmt.Fprintln(w, "errors:")
	for _, what := range slices.Sorted(maps.Keys(r.Errors)) {
		_, err = fmt.Fprintf(w, "  %8d  %s\n", r.Errors[what], what)
	}
	return err
}

func decimal(n uint64) string { return fmt.Sprint(n) }

// rows are the operations, and their sum if there is more than one.
func (r *Result) rows() []OpResult {
	if len(r.Ops) == 1 {
		return r.Ops
	}
	return append(slices.Clone(r.Ops), r.Total)
}

// connections describes the workers' connections.
func (r *Result) connections() string {
	switch {
	case !r.Persistent:
		return "a new connection for each request"
	case r.Pipeline == 1:
		return "one request at a time on a connection that is kept"
	}
	return fmt.Sprintf("%d requests in flight on each connection", r.Pipeline)
}

// shown is one of the latencies for people, "-" if there was no good answer.
func (o *OpResult) shown(us float64) string {
	if o.Good == 0 {
		return "-"
	}
	return shown(us)
}

// shown is a number of microseconds with three digits and a unit.
func shown(us float64) string {
	switch {
	case us < 999.5:
		return fmt.Sprintf("%.3g µs", us)
	case us < 999.5e3:
		return fmt.Sprintf("%.3g ms", us/1e3)
	}
	return fmt.Sprintf("%.2f s", us/1e6)
}
