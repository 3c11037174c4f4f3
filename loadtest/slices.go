package loadtest

import "slices"

// maxSlices is the most points of a chart over time: more can't be told apart on a screen.
const maxSlices = 400

// A slice is a stretch of a benchmark, from From to At: one Point, or several that follow each other. Then P50 is the
// mean of their medians, and P99 and Max are the highest of theirs.
type slice struct {
	From float64 // seconds since the start
	Point
}

func (s *slice) rate() float64 { return float64(s.Good) / (s.At - s.From) }

func pointsPerSlice(series []Point) int { return (len(series) + maxSlices - 1) / maxSlices }

// newSlices makes at most maxSlices slices of a series. A slice that is much shorter than the rest, as the last may be,
// is joined to the one before.
func newSlices(series []Point) []slice {
	per := max(1, pointsPerSlice(series))
	least := float64(per) * Interval.Seconds() / 2
	var out []slice
	from := 0.0
	for points := range slices.Chunk(series, per) {
		s := slice{From: from}
		for _, p := range points {
			s.absorb(p)
		}
		from = s.At
		switch n := len(out); {
		case n > 0 && s.At-s.From < least:
			out[n-1].absorb(s.Point)
		case s.At > s.From:
			out = append(out, s)
		}
	}
	return out
}

// absorb adds the Point that follows.
func (s *slice) absorb(p Point) {
	if good := s.Good + p.Good; good > 0 {
		s.P50 = (s.P50*float64(s.Good) + p.P50*float64(p.Good)) / float64(good)
	}
	s.At = p.At
	s.Good += p.Good
	s.Errors += p.Errors
	s.P99, s.Max = max(s.P99, p.P99), max(s.Max, p.Max)
}
