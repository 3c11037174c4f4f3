package loadtest

import (
	"fmt"
	"math"
	"strings"
)

// gapShown is the shortest gap without a good answer, in seconds, that charts show.
const gapShown = 2 * float64(Interval) / 1e9

// rateChart is throughput over time, with the longest gap marked.
func rateChart(r *Result, slices []slice) chart {
	c := chart{Name: "rate", Title: "Answers a second"}
	var most float64
	for _, s := range slices {
		most = max(most, s.rate())
	}
	x := c.overTime(r, true)
	var y scale
	y, c.Y = linear(most, short)
	area, line := pen{x: x, y: y}, pen{x: x, y: y}
	for _, s := range slices {
		area.bar(s.From, s.At, s.rate())
		line.line(s.From, s.rate())
		line.line(s.At, s.rate())
	}
	c.Lines = []shape{{Class: "area", Path: area.String()}, {Class: "line rate", Path: line.String()}}
	if n := pointsPerSlice(r.Series); n > 0 {
		c.Note = "in steps of " + shown(micros(int64(n)*int64(Interval)))
	}
	return c
}

// overTime gives a chart the time axis and marks the longest gap there, with its length in words if named is set.
func (c *chart) overTime(r *Result, named bool) (x scale) {
	c.OverTime = true
	x, c.X = timeAxis(r.Seconds)
	c.Bands = gapBands(r, x)
	for i := range c.Bands {
		if !named {
			c.Bands[i].Label = ""
		}
	}
	return x
}

func gapBands(r *Result, x scale) []band {
	if r.LongestGap < gapShown {
		return nil
	}
	b := band{At: 100 * x.at(r.LongestGapFrom), Width: 100 * r.LongestGap / x.high,
		Label: shown(r.LongestGap*1e6) + " without a good answer"}
	switch after := 100 - b.At - b.Width; {
	case b.Width > 50:
		b.Side = "inside"
	case b.At > after:
		b.Side = "left"
	}
	return []band{b}
}

// errorChart is errors over time.
func errorChart(r *Result, slices []slice) chart {
	c := chart{Name: "errors", Title: "Errors"}
	var most uint64
	for _, s := range slices {
		most = max(most, s.Errors)
	}
	if most == 0 {
		c.Empty = "No errors."
		return c
	}
	x := c.overTime(r, false)
	y, ticks := linear(float64(most), short)
	c.Y = []tick{ticks[0], ticks[len(ticks)-1]}
	p := pen{x: x, y: y}
	for _, s := range slices {
		if s.Errors > 0 {
			p.bar(s.From, s.At, float64(s.Errors))
		}
	}
	c.Lines = []shape{{Class: "bars bad", Path: p.String()}}
	c.Note = "in each step"
	return c
}

// latencyChart is latency over time. Where there were no answers, the lines are broken.
func latencyChart(r *Result, slices []slice) chart {
	c := chart{Name: "latency", Title: "Latency over time", Note: "logarithmic"}
	least, most := math.Inf(1), 0.0
	for _, s := range slices {
		if s.Good > 0 {
			least, most = min(least, s.P50), max(most, s.Max)
		}
	}
	if most == 0 {
		c.Empty = "No answers."
		return c
	}
	x := c.overTime(r, false)
	var y scale
	y, c.Y = logarithmic(least, most)
	for _, what := range []struct {
		class, legend string
		of            func(slice) float64
	}{
		{"line max", "max", func(s slice) float64 { return s.Max }},
		{"line p99", "p99", func(s slice) float64 { return s.P99 }},
		{"line p50", "p50", func(s slice) float64 { return s.P50 }},
	} {
		p := pen{x: x, y: y}
		for _, s := range slices {
			if s.Good == 0 {
				p.lift()
				continue
			}
			p.line(s.From, what.of(s))
			p.line(s.At, what.of(s))
		}
		c.Lines = append(c.Lines, shape{Class: what.class, Path: p.String(), Legend: what.legend})
	}
	if pointsPerSlice(r.Series) > 1 {
		c.Note += "; each step shows the highest p99 and maximum, and the mean of the medians, of shorter ones"
	}
	return c
}

// binsPerTen is the number of bars of spreadChart between 1 and 10 µs, 10 and 100 µs and so on.
const binsPerTen = 20

// spreadChart is how many answers took how long.
func spreadChart(r *Result) chart {
	c := chart{Name: "spread", Title: "How many answers took how long", Note: "share of all answers"}
	h := r.Total.Histogram
	if h == nil || h.TotalCount() == 0 {
		c.Empty = "No answers."
		return c
	}
	var x, y scale
	x, c.X = logarithmic(micros(h.Min()), micros(h.Max()))
	n := int(math.Ceil(math.Log10(x.high/x.low)*binsPerTen - 1e-9))
	bins := make([]float64, n)
	at := func(us float64) float64 { return min(max(x.at(us), 0), 1) * float64(n) }
	for _, d := range h.Distribution() {
		if d.Count == 0 {
			continue
		}
		// Values that the histogram does not tell apart are spread evenly.
		from, to := at(micros(d.From)), at(micros(d.To+1))
		for i := int(from); i < n && float64(i) < to; i++ {
			part := min(to, float64(i+1)) - max(from, float64(i))
			bins[i] += float64(d.Count) * part / (to - from)
		}
	}
	var most float64
	for i := range bins {
		bins[i] *= 100 / float64(h.TotalCount())
		most = max(most, bins[i])
	}
	y, c.Y = linear(most, func(v float64) string { return fmt.Sprintf("%.3g %%", v) })
	bars := pen{x: scale{high: float64(n)}, y: y}
	for i, v := range bins {
		if v > 0 {
			bars.bar(float64(i), float64(i+1), max(v, y.high/150)) // even the smallest bar can be seen
		}
	}
	c.Lines = []shape{{Class: "bars", Path: bars.String()}}
	l := r.Total.Latency
	for _, mark := range []struct {
		label string
		us    float64
	}{{"p50", l.P50}, {"p99", l.P99}, {"p99.9", l.P999}} {
		b := band{At: 100 * x.at(mark.us), Label: mark.label}
		if b.At > 80 {
			b.Side = "left"
		}
		c.Bands = append(c.Bands, b)
	}
	return c
}

// tailChart is latency by percentile. The axis gives each further nine (p90, p99, p99.9) the same room.
func tailChart(r *Result) chart {
	c := chart{Name: "tail", Title: "Latency by percentile", Note: "logarithmic"}
	h := r.Total.Histogram
	if h == nil || h.TotalCount() == 0 {
		c.Empty = "No answers."
		return c
	}
	nines := min(max(math.Log10(float64(h.TotalCount())), 1), 6)
	x := scale{high: nines}
	for i := 0; float64(i) <= nines; i++ {
		c.X = append(c.X, tick{100 * x.at(float64(i)), percentile(i)})
	}
	var y scale
	y, c.Y = logarithmic(micros(h.Min()), micros(h.Max()))
	for _, o := range r.rows() {
		if o.Good == 0 {
			continue
		}
		p := pen{x: x, y: y}
		for i := range 101 {
			at := nines * float64(i) / 100
			if at > math.Log10(float64(o.Good))+0.01 {
				break
			}
			p.line(at, micros(o.Histogram.ValueAtQuantile(100*(1-math.Pow(10, -at)))))
		}
		c.Lines = append(c.Lines, shape{Class: "line " + strings.ToLower(o.Op), Path: p.String(), Legend: o.Op})
	}
	return c
}

// percentile is the label of the percentile with that many nines.
func percentile(nines int) string {
	switch nines {
	case 0:
		return "0"
	case 1:
		return "p90"
	case 2:
		return "p99"
	}
	return "p99." + strings.Repeat("9", nines-2)
}

// short is a number with at most four digits.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.4gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.4gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}

// A hover is what the page shows about the time under the pointer.
type hover struct {
	Seconds float64    `json:"seconds"`
	To      []float64  `json:"to"`
	Text    [][]string `json:"text"` // lines of text for each slice
}

func newHover(r *Result, slices []slice) hover {
	h := hover{Seconds: r.Seconds}
	for _, s := range slices {
		text := []string{fmt.Sprintf("%.1f s", s.At), grouped(uint64(s.rate()+0.5)) + " answers a second"}
		if s.Good > 0 {
			text = append(text, "p50 "+shown(s.P50), "p99 "+shown(s.P99), "max "+shown(s.Max))
		}
		if s.Errors > 0 {
			text = append(text, grouped(s.Errors)+" errors")
		}
		h.To = append(h.To, s.At)
		h.Text = append(h.Text, text)
	}
	return h
}
