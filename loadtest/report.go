package loadtest

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
)

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"odd": func(i int) bool { return i%2 == 1 },
}).Parse(reportHTML))

// A report is the data of the page.
type report struct {
	Result   *Result
	Title    string
	Subtitle string
	Tiles    []tile
	Rate     chart
	Errors   chart
	Latency  chart
	Spread   chart // how many answers took how long
	Tail     chart // by percentile
	Hover    hover
	Rows     [][]string
	Kinds    []pair
	Config   []pair
}

// A tile is a named figure.
type tile struct {
	Name, Value, Note string
	Bad               bool
}

type pair struct{ Name, Value string }

// row is a row of the summary. number formats counts.
func (o *OpResult) row(number func(uint64) string) []string {
	cells := []string{o.Op, number(o.Good), number(o.Missed), number(o.Errors), number(uint64(o.PerSecond + 0.5))}
	for _, us := range []float64{o.Latency.P50, o.Latency.P90, o.Latency.P99, o.Latency.P999, o.Latency.Max} {
		cells = append(cells, o.shown(us))
	}
	return cells
}

// Report writes the result as an HTML page that needs no other files. madeBy names the program that made the load.
func (r *Result) Report(w io.Writer, title, madeBy string) error {
	p := report{Result: r, Title: title + ": " + r.Mix}
	p.Subtitle = fmt.Sprintf("%s on %s, %s", r.Mix, strings.Join(r.Addresses, ", "),
		r.Started.UTC().Format("2 January 2006, 15:04:05 MST"))
	s := newSlices(r.Series)
	p.Rate, p.Errors, p.Latency = rateChart(r, s), errorChart(r, s), latencyChart(r, s)
	p.Spread, p.Tail = spreadChart(r), tailChart(r)
	p.Hover = newHover(r, s)
	p.Tiles = r.tiles()
	for _, o := range r.rows() {
		p.Rows = append(p.Rows, o.row(grouped))
	}
	for _, what := range slices.Sorted(maps.Keys(r.Errors)) {
		p.Kinds = append(p.Kinds, pair{what, grouped(r.Errors[what])})
	}
	p.Config = r.config(madeBy)
	return reportTemplate.Execute(w, p)
}

func (r *Result) tiles() []tile {
	errors := uint64(0)
	for _, n := range r.Errors {
		errors += n
	}
	all := &r.Total
	return []tile{
		{Name: "Answers a second", Value: grouped(uint64(all.PerSecond + 0.5)),
			Note: fmt.Sprintf("%s in %.1f s", grouped(all.Good), r.Seconds)},
		{Name: "p50", Value: all.shown(all.Latency.P50), Note: "half were as fast"},
		{Name: "p99", Value: all.shown(all.Latency.P99), Note: "1 in 100 took longer"},
		{Name: "p99.9", Value: all.shown(all.Latency.P999), Note: "1 in 1000 took longer"},
		{Name: "Longest gap", Value: shown(r.LongestGap * 1e6),
			Note: fmt.Sprintf("no good answer from %.2f s on", r.LongestGapFrom), Bad: r.LongestGap >= gapShown},
		{Name: "Errors", Value: grouped(errors), Note: errorsNote(errors, all.Good), Bad: errors > 0},
	}
}

func errorsNote(errors, good uint64) string {
	if errors == 0 {
		return "every request was answered"
	}
	return fmt.Sprintf("%.3g %% of all requests", 100*float64(errors)/float64(errors+good))
}

func (r *Result) config(madeBy string) []pair {
	c := []pair{
		{"Servers", strings.Join(r.Addresses, ", ")},
		{"Operations", r.Mix},
		{"Workers", grouped(uint64(r.Workers))},
		{"Connections", r.connections()},
		{"Session data", sizeRange(r.DataMin, r.DataMax)},
	}
	if r.Sessions > 0 {
		c = append(c, pair{"Sessions to read", grouped(uint64(r.Sessions))})
	}
	return append(c,
		pair{"Timeout of added sessions", fmt.Sprintf("%.10g s", r.SessionTimeout)},
		pair{"Duration", fmt.Sprintf("%.1f s", r.Seconds)},
		pair{"Started", r.Started.Format("2006-01-02 15:04:05 -0700")},
		pair{"Load generator", fmt.Sprintf("%s, %d CPUs", madeBy, runtime.NumCPU())},
	)
}

func sizeRange(least, most int) string {
	if least == most {
		return grouped(uint64(least)) + " bytes"
	}
	return grouped(uint64(least)) + " to " + grouped(uint64(most)) + " bytes"
}

// grouped is a number with its digits in groups of three.
func grouped(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
