package loadtest

// maxSlices is how many points a chart over time has at most: more than that can't be told apart on a screen.
const maxSlices = 400

// A slice is a stretch of a benchmark: one Point, or several that follow each other.
type slice struct {
	From, To      float64 // seconds since the start
	Good, Errors  uint64
	P50, P99, Max float64 // microseconds: the mean of the Points' medians, and the highest of the others
}

func (s *slice) rate() float64 { return float64(s.Good) / (s.To - s.From) }

func pointsPerSlice(series []Point) int { return (len(series) + maxSlices - 1) / maxSlices }

// newSlices makes at most maxSlices of a series. One that is much shorter than the rest, as the last may be, is joined
// to the one before.
func newSlices(series []Point) []slice {
	per := pointsPerSlice(series)
	least := float64(per) * Interval.Seconds() / 2
	var out []slice
	from := 0.0
	for i := 0; i < len(series); i += per {
		part := series[i:min(i+per, len(series))]
		s := slice{From: from, To: part[len(part)-1].At}
		var medians float64
		for _, p := range part {
			s.Good += p.Good
			s.Errors += p.Errors
			medians += p.P50 * float64(p.Good)
			s.P99, s.Max = max(s.P99, p.P99), max(s.Max, p.Max)
		}
		if s.Good > 0 {
			s.P50 = medians / float64(s.Good)
		}
		from = s.To
		if n := len(out); n > 0 && s.To-s.From < least {
			out[n-1].absorb(s)
			continue
		}
		if s.To > s.From {
			out = append(out, s)
		}
	}
	return out
}

// absorb adds the slice that follows, which is but a short one.
func (s *slice) absorb(t slice) {
	if good := s.Good + t.Good; good > 0 {
		s.P50 = (s.P50*float64(s.Good) + t.P50*float64(t.Good)) / float64(good)
	}
	s.To = t.To
	s.Good += t.Good
	s.Errors += t.Errors
	s.P99, s.Max = max(s.P99, t.P99), max(s.Max, t.Max)
}
