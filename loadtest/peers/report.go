package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// A report is the findings of a run, for people.
type report struct {
	options  *options
	entrants []entrant
	machine  []string
	findings
}

// blocks are the report's parts, in order.
func (r *report) blocks() []block {
	list := []block{r.head()}
	for _, w := range r.options.works {
		list = append(list, r.work(w))
	}
	if b := r.compared(); b.table != nil {
		list = append(list, b)
	}
	return append(list, r.synced(), r.errors())
}

func (r *report) head() block {
	o := r.options
	lines := append(slices.Clone(r.machine),
		fmt.Sprintf("rounds: %d; each work measured for %v after %v unmeasured; "+
			"sessions of %d bytes, %d of them there to be read",
			o.rounds, o.duration, o.duration/warmUp, o.size, o.sessions),
		"a figure is the median of the rounds, beside it the least and the most; "+
			"disk bytes are all that the machine wrote to that disk")
	return block{lines: lines,
		title: "distcache beside others: the same work on three nodes each, one machine, in turns"}
}

// work is the table of one work.
func (r *report) work(w work) block {
	t := &table{words: 1, header: []string{"", "ops/s", "p50 ms", "p99 ms", "servers' CPU µs/op", "load's CPU µs/op",
		"disk bytes/op/node", "errors"}}
	for _, e := range r.entrants {
		list := r.samples.of(e.name, w)
		errors := uint64(0)
		for _, s := range list {
			errors += s.errors.total()
		}
		figure := func(f func(figures) float64, digits int) string { return number(digits, list.spread(f).median) }
		t.rows = append(t.rows, []string{e.name,
			wide(0, list.spread(rate)), wide(3, list.spread(p50)), wide(3, list.spread(p99)),
			figure(func(f figures) float64 { return f.servers }, 0),
			figure(func(f figures) float64 { return f.load }, 0),
			figure(func(f figures) float64 { return f.disk }, 0),
			fmt.Sprint(errors)})
	}
	return block{title: w.String() + ": " + w.about(), table: t}
}

func rate(f figures) float64 { return f.rate }
func p50(f figures) float64  { return f.p50 }
func p99(f figures) float64  { return f.p99 }

// compared is the table of ratios. It has no table if there is nothing to compare.
func (r *report) compared() block {
	t := &table{words: 3, header: []string{"", "ours", "theirs", "rate", "p50", "p99"}}
	for _, w := range r.options.works {
		for _, theirs := range r.entrants {
			for _, ours := range r.entrants {
				if !ours.ours() || theirs.ours() {
					continue
				}
				ratio := func(f func(figures) float64) string {
					return wide(3, r.samples.ratio(ours.name, theirs.name, w, f))
				}
				t.rows = append(t.rows, []string{w.String(), ours.name, theirs.name,
					ratio(rate), ratio(p50), ratio(p99)})
			}
		}
	}
	if t.rows == nil {
		return block{}
	}
	return block{title: "Ours divided by theirs", table: t,
		lines: []string{"made in each round: a rate of 2 is twice theirs, a latency of 0.5 half of theirs"}}
}

// synced is the table of syncs of the disk.
func (r *report) synced() block {
	b := block{title: "Syncs of the disk per answer"}
	if r.noSyncs != "" {
		b.lines = []string{r.noSyncs}
		return b
	}
	b.lines = []string{"by all nodes together, in brackets by the node with the most; " +
		"counted apart, the servers under strace"}
	adds := r.options.adds()
	b.table = &table{words: 1, header: []string{""}}
	for _, w := range adds {
		b.table.header = append(b.table.header, w.String())
	}
	for _, e := range r.entrants {
		row := []string{e.name}
		for _, w := range adds {
			row = append(row, r.syncCell(e.name, w))
		}
		b.table.rows = append(b.table.rows, row)
	}
	return b
}

func (r *report) syncCell(kind string, w work) string {
	for _, s := range r.syncs.of(kind, w) {
		return fmt.Sprintf("%s (%s)", number(3, s.syncs), number(3, s.busiest))
	}
	return "-"
}

// errors lists what went wrong.
func (r *report) errors() block {
	b := block{title: "Errors", lines: slices.Clone(r.trouble)}
	note := func(kind string, w work, when string, t tally) {
		for _, what := range slices.Sorted(maps.Keys(t)) {
			b.lines = append(b.lines, fmt.Sprintf("%s, %s, %s: %d times: %s", kind, w, when, t[what], what))
		}
	}
	for _, s := range r.samples {
		note(s.kind, s.work, fmt.Sprintf("round %d", s.round+1), s.errors)
	}
	for _, s := range r.syncs {
		note(s.kind, s.work, "syncs", s.errors)
	}
	if b.lines == nil {
		b.lines = []string{"none: every answer was right"}
	}
	return b
}

// wide is a median with the extremes, in brackets.
func wide(digits int, s spread) string {
	if math.IsNaN(s.median) {
		return "-"
	}
	return fmt.Sprintf("%s (%s–%s)", number(digits, s.median), number(digits, s.least), number(digits, s.most))
}

// number is a figure with at least that many digits, and no more digits after the point than needed. With digits 0 it
// is whole.
func number(digits int, n float64) string {
	if math.IsNaN(n) {
		return "-"
	}
	after := 0
	if digits > 0 && n != 0 {
		after = max(0, digits-1-int(math.Floor(math.Log10(math.Abs(n)))))
	}
	return strconv.FormatFloat(n, 'f', after, 64)
}
