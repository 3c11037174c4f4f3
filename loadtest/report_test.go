package loadtest

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
)

// sample is the result of a run of three seconds, with a failover of half a second.
func sample() *Result {
	r := &Result{Mix: "add=10,get=90", Addresses: []string{"IP:127.0.0.1:9001", "UNIX:/tmp/<script>"},
		Workers: 8, Pipeline: 16, Persistent: true, DataMin: 300, DataMax: 2000, Sessions: 10000, SessionTimeout: 600,
		Started: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), LongestGap: 0.52, LongestGapFrom: 1.48}
	rec := newRecorder()
	for i := range 30 {
		p := Point{At: float64(i+1) / 10}
		if i >= 15 && i < 20 {
			p.Errors = uint64(20 - i)
			for range p.Errors {
				rec.bad(wire.OpAdd, "DISCONNECTED")
			}
		} else {
			p.Good, p.P50, p.P99, p.Max = 1000, 210, 1900, 2400
			for n := range 1000 {
				rec.good(wire.OpGet, time.Duration(100+n*n/500)*time.Microsecond, n%250 == 0)
			}
			for n := range 100 {
				rec.good(wire.OpAdd, time.Duration(900+40*n)*time.Microsecond, false)
			}
		}
		r.Series = append(r.Series, p)
	}
	rec.trouble("no connection")
	r.fill([]*recorder{rec}, 3*time.Second)
	return r
}

func TestSummary(t *testing.T) {
	var out bytes.Buffer
	if err := sample().Print(&out); err != nil {
		t.Fatal(err)
	}
	out.WriteString("\n---\n\n")
	nothing := &Result{Mix: "get=1", Workers: 1, LongestGap: 1, Seconds: 1}
	nothing.fill(nil, time.Second)
	if err := nothing.Print(&out); err != nil {
		t.Fatal(err)
	}
	testutil.Golden(t, "summary.txt", out.String())
}

// The page needs no other files, and text from outside does not become markup.
func TestReport(t *testing.T) {
	empty := &Result{}
	empty.fill(nil, 0)
	for name, r := range map[string]*Result{"sample": sample(), "empty": empty} {
		var out bytes.Buffer
		if err := r.Report(&out, "dc_test -bench", "dc_test v1"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		page := out.String()
		for _, bad := range []string{
			"<script>,", "/tmp/<script>", "http:", "https:", "src=", "href=", "url(", "@import",
			"NaN", "Inf", "ZgotmplZ",
		} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page has %q in it", name, bad)
			}
		}
		if name == "empty" {
			continue
		}
		for _, good := range []string{
			"UNIX:/tmp/&lt;script&gt;", "520 ms without a good answer", "left:49.33%;width:17.33%", "DISCONNECTED",
			"300 to 2\u202f000 bytes",
		} {
			if !strings.Contains(page, good) {
				t.Errorf("the page does not have %q in it", good)
			}
		}
		curve := regexp.MustCompile(`<path class="[a-z0-9 ]+" d="M[MLHVZ0-9. ]+"/>`)
		if n := len(curve.FindAllString(page, -1)); n < 10 {
			t.Errorf("%d curves are drawn", n)
		}
	}
}

// In the gap the throughput is zero, and the lines of latency are broken.
func TestGapIsDrawn(t *testing.T) {
	r := sample()
	s := newSlices(r.Series)
	if rate := rateChart(r, s).Lines[1].Path; !strings.Contains(rate, "L500 1000L533.3 1000") {
		t.Errorf("throughput: %s", rate)
	}
	for _, line := range latencyChart(r, s).Lines {
		if n := strings.Count(line.Path, "M"); n != 2 {
			t.Errorf("%s is in %d pieces: %s", line.Legend, n, line.Path)
		}
	}
}

// The gap's label stands where there is room for it.
func TestGapLabel(t *testing.T) {
	for from, want := range map[float64]string{0: "", 4: "", 8: "left"} {
		b := gapBands(&Result{LongestGap: 1, LongestGapFrom: from}, scale{high: 10})
		if len(b) != 1 || b[0].Side != want {
			t.Errorf("a gap from %v on: %+v, want %q", from, b, want)
		}
	}
	b := gapBands(&Result{LongestGap: 9, LongestGapFrom: 0.5}, scale{high: 10})
	if len(b) != 1 || b[0].Side != "inside" {
		t.Errorf("a long gap: %+v", b)
	}
	if b := gapBands(&Result{LongestGap: 0.1}, scale{high: 10}); len(b) != 0 {
		t.Errorf("a short gap: %+v", b)
	}
}

func TestSlices(t *testing.T) {
	var series []Point
	for i := range 1001 {
		series = append(series, Point{
			At: float64(i+1) / 10, Good: uint64(i % 2), Errors: 1, P50: 10, P99: float64(i), Max: float64(2 * i),
		})
	}
	s := newSlices(append(series, Point{At: 100.101, Good: 7, P50: 50}))
	var good, errors uint64
	at := 0.0
	for _, x := range s {
		if x.From != at || x.At <= x.From {
			t.Errorf("%+v follows %v", x, at)
		}
		at = x.At
		good += x.Good
		errors += x.Errors
	}
	if len(s) > maxSlices || at != 100.101 || good != 507 || errors != 1001 {
		t.Errorf("%d slices up to %v, %d good, %d errors", len(s), at, good, errors)
	}
	if x := s[0]; x.P50 != 10 || x.P99 != 2 || x.Max != 4 || x.Good != 1 || x.Errors != 3 {
		t.Errorf("three points make %+v", x)
	}
	// A tick that came late makes a long point and a short one.
	s = newSlices([]Point{{At: 0.1}, {At: 0.29}, {At: 0.3}, {At: 0.4}})
	if len(s) != 3 || s[1].At != 0.3 {
		t.Errorf("got %+v", s)
	}
}

func TestScales(t *testing.T) {
	labels := func(ticks []tick) string {
		var all []string
		for _, k := range ticks {
			all = append(all, k.Label)
		}
		return strings.Join(all, " ")
	}
	ticks := func(_ scale, k []tick) []tick { return k }
	for want, got := range map[string][]tick{
		"0 5k 10k 15k 20k":          ticks(linear(16500, short)),
		"0 1":                       ticks(linear(0, short)),
		"20 µs 50 µs 100 µs 200 µs": ticks(logarithmic(23, 180)),
		"0 s 0.5 s 1 s 1.5 s 2 s":   ticks(timeAxis(2.1)),
		"10 µs 100 µs 1 ms 10 ms":   ticks(logarithmic(10, 12000)),
		"0 s 500 s 1000 s 1500 s 2000 s 2500 s 3000 s 3500 s":         ticks(timeAxis(3600)),
		"500 ms 1.00 s 2.00 s 5.00 s":                                 ticks(logarithmic(6e5, 4e6)),
		"0 0.2 0.4 0.6 0.8":                                           ticks(linear(0.7, short)),
		"0 500k 1M 1.5M 2M":                                           ticks(linear(1.9e6, short)),
		"50 µs 100 µs 200 µs 500 µs":                                  ticks(logarithmic(50, 500)),
		"20 ms 50 ms 100 ms 200 ms":                                   ticks(logarithmic(2e4, 2e5)),
		"5 µs 10 µs":                                                  ticks(logarithmic(7, 7)),
		"1 ms 2 ms 5 ms 10 ms 20 ms":                                  ticks(logarithmic(1000, 11000)),
		"100 µs 200 µs 500 µs 1 ms":                                   ticks(logarithmic(199, 999)),
		"0 s 0.001 s 0.002 s 0.003 s 0.004 s 0.005 s 0.006 s 0.007 s": ticks(timeAxis(0.0071)),
	} {
		if labels(got) != want {
			t.Errorf("got %s, want %s", labels(got), want)
		}
	}
}

// The texts and kinds of errors that are kept are bounded, whatever servers send.
func TestErrorsAreBounded(t *testing.T) {
	r := newRecorder()
	for i := range 3 * maxErrors {
		r.bad(wire.OpAdd, strings.Repeat(string(rune('a'+i)), 10*maxErrorText))
	}
	if len(r.errors) != maxErrors+1 || r.errors["other errors"] != 2*maxErrors || r.failed[wire.OpAdd] != 3*maxErrors {
		t.Errorf("%d kinds: %v", len(r.errors), r.errors)
	}
	for what := range r.errors {
		if len(what) > maxErrorText {
			t.Errorf("a text of %d bytes", len(what))
		}
	}
}
