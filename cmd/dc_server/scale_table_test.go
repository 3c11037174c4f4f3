package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// A series is the same figure measured several times.
type series []float64

// median is NaN of none.
func (s series) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(s)-1)/2] + sorted[len(s)/2]) / 2
}

// String is the median, with the least and the most behind it.
func (s series) String() string {
	switch len(s) {
	case 0:
		return "-"
	case 1:
		return digits(s[0])
	}
	return fmt.Sprintf("%s (%s-%s)", digits(s.median()), digits(slices.Min(s)), digits(slices.Max(s)))
}

// over divides each by the one that was measured beside it, if there is one that is not 0.
func (s series) over(t series) (ratios series) {
	for i := range min(len(s), len(t)) {
		if t[i] != 0 {
			ratios = append(ratios, s[i]/t[i])
		}
	}
	return ratios
}

// digits writes three of them, and all that are before the point.
func digits(x float64) string {
	if math.Abs(x) >= 999.5 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

// A table is what a part of the benchmark has found.
type table struct {
	title    string
	one, two string // what is beside each other
	rows     []row
}

// A row is one figure, measured in two cases. Either may be missing.
type row struct {
	figure   string
	one, two series
	aim      string // and whether it was reached
}

func (t *table) add(figure string, one, two series) *row {
	t.rows = append(t.rows, row{figure: figure, one: one, two: two})
	return &t.rows[len(t.rows)-1]
}

func (r *row) ratio() series { return r.two.over(r.one) }

// atLeast and atMost say what a figure should be, and whether it is.
func (r *row) atLeast(limit float64, s series) { r.judge(">=", limit, s.median() >= limit) }
func (r *row) atMost(limit float64, s series)  { r.judge("<=", limit, s.median() <= limit) }

func (r *row) judge(how string, limit float64, met bool) {
	r.aim = fmt.Sprintf("%s %s", how, digits(limit))
	if !met {
		r.aim += ", missed"
	}
}

func (t *table) String() string {
	if len(t.rows) == 0 {
		return ""
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "%s\t%s\t%s\tratio\taim\n", t.title, t.one, t.two)
	for _, r := range t.rows {
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%s\n", r.figure, r.one, r.two, r.ratio(), r.aim)
	}
	w.Flush()
	return out.String()
}

func TestScaleTable(t *testing.T) {
	tab := table{title: "work", one: "few", two: "many"}
	r := tab.add("rate", series{30000, 10000, 20000}, series{27000, 8000, 10000})
	r.atLeast(0.85, r.ratio())
	r = tab.add("time", nil, series{2.5})
	r.atMost(3, r.two)
	tab.add("nothing", series{0}, series{0}).atMost(3, nil)
	want := strings.Join([]string{
		"work      few                   many                 ratio           aim",
		"rate      20000 (10000-30000)   10000 (8000-27000)   0.8 (0.5-0.9)   >= 0.85, missed",
		"time      -                     2.5                  -               <= 3",
		"nothing   0                     0                    -               <= 3, missed",
		"",
	}, "\n")
	if got := tab.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if m := (series{4, 1, 3, 2}).median(); m != 2.5 {
		t.Errorf("median %v", m)
	}
}
