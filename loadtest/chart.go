package loadtest

import (
	"fmt"
	"math"
	"strings"
)

// A chart is drawn in a square of chartSize by chartSize, which the page stretches to the room that there is. Ticks and
// labels stand beside the square at percentages, so that text is not stretched.
type chart struct {
	Name  string // the CSS class in the page
	Title string
	Note  string
	X, Y  []tick
	Lines []shape
	Bands []band
	Empty string // if not "", the text to show instead of a drawing

	OverTime bool // the x axis is the benchmark's time
}

const chartSize = 1000

// A tick is a mark on an axis, in percent from the left or from the bottom.
type tick struct {
	At    float64
	Label string
}

// A shape is an SVG path.
type shape struct {
	Class, Path string
	Legend      string // "" for none
}

// A band is a stretch of the time axis, in percent.
type band struct {
	At, Width float64
	Label     string
	Side      string // where the label stands: "left", "inside", or on its right
}

// A scale maps values to 0..1.
type scale struct {
	low, high float64
	log       bool
}

func (s scale) at(v float64) float64 {
	if s.log {
		return (math.Log(max(v, s.low)) - math.Log(s.low)) / (math.Log(s.high) - math.Log(s.low))
	}
	return (v - s.low) / (s.high - s.low)
}

// linear is a scale from 0 to a round number that is not below most, with its ticks.
func linear(most float64, label func(float64) string) (scale, []tick) {
	step := roundUp(most / 4)
	if step <= 0 {
		step = 1
	}
	s := scale{high: max(step, math.Ceil(most/step-1e-9)*step)}
	var ticks []tick
	for i := 0; float64(i)*step <= s.high*1.001; i++ {
		v := float64(i) * step
		ticks = append(ticks, tick{100 * s.at(v), label(v)})
	}
	return s, ticks
}

// roundUp is the least number of the form 1, 2 or 5 times a power of ten that is not below v.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 0
	}
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*ten >= v*(1-1e-9) {
			return m * ten
		}
	}
	return 10 * ten
}

// roundDown is the greatest such number that is not above v. Their inverses are such numbers too.
func roundDown(v float64) float64 { return 1 / roundUp(1/v) }

// logarithmic is a scale for microseconds that includes least and most, with its ticks.
func logarithmic(least, most float64) (scale, []tick) {
	s := scale{low: roundDown(least), high: roundUp(most), log: true}
	if s.high <= s.low {
		s.high = 10 * s.low
	}
	all := math.Log10(s.high/s.low) <= 2.5
	var ticks []tick
	for v := s.low; v <= s.high*1.001; v = roundUp(v * 1.5) {
		if lead := v / math.Pow(10, math.Floor(math.Log10(v*1.001))); all || lead < 1.5 {
			ticks = append(ticks, tick{100 * s.at(v), shown(v)})
		}
	}
	return s, ticks
}

// timeAxis is the scale of a time of the given length, with its ticks.
func timeAxis(length float64) (scale, []tick) {
	s := scale{high: max(length, 1e-3)}
	step := roundUp(s.high / 8)
	var ticks []tick
	for i := 0; float64(i)*step <= s.high; i++ {
		v := float64(i) * step
		ticks = append(ticks, tick{100 * s.at(v), fmt.Sprintf("%.4g s", v)})
	}
	return s, ticks
}

// A pen draws a path.
type pen struct {
	strings.Builder
	x, y scale
	down bool
}

func (p *pen) point(x, y float64) (string, string) {
	return coordinate(p.x.at(x)), coordinate(1 - p.y.at(y))
}

func coordinate(v float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", chartSize*min(max(v, 0), 1)), ".0")
}

// line draws a line from the last point. After lift it only moves the pen there.
func (p *pen) line(x, y float64) {
	cx, cy := p.point(x, y)
	verb := "L"
	if !p.down {
		verb, p.down = "M", true
	}
	p.WriteString(verb + cx + " " + cy)
}

// bar draws a bar that stands on the x axis.
func (p *pen) bar(from, to, y float64) {
	x1, cy := p.point(from, y)
	x2, _ := p.point(to, y)
	fmt.Fprintf(p, "M%s %dV%sH%sV%dZ", x1, chartSize, cy, x2, chartSize)
}

func (p *pen) lift() { p.down = false }
