package main

import (
	"bytes"
	"testing"

	"github.com/distcache/distcache/internal/testutil"
)

// madeUp is a report of made-up figures. One contestant lacks a round, and another's usage is unknown.
func madeUp(t *testing.T) *report {
	t.Helper()
	o, _ := newOptions()
	o.rounds = 3
	o.works = []work{{opGet, 1}, {opAdd, 64}}
	r := &report{options: o, machine: []string{"2 processors, linux", "bolt: three of them (v1 | v2)"}}
	for _, k := range kinds {
		if k.name != "wal" {
			r.entrants = append(r.entrants, entrant{kind: k})
		}
	}
	for i, e := range r.entrants {
		for round := range 3 {
			for _, w := range o.works {
				n := float64((i+1)*(round+2)) * 1000 / float64(w.callers)
				f := figures{rate: n, p50: 1234 / n, p99: 5678 / n, servers: n / 3, load: n / 7, disk: n * 2,
					errors: tally{}}
				if e.name == "redis" {
					f.servers, f.load, f.disk = unknown, unknown, unknown
				}
				if e.name == "etcd" && round == 1 && w.op == opAdd {
					f = figures{p50: unknown, p99: unknown, servers: unknown, load: unknown, disk: unknown,
						errors: tally{"no | leader": 17}}
				}
				if e.name == "redis" && round == 2 {
					continue
				}
				r.samples = append(r.samples, sample{round, e.name, w, f})
			}
		}
		if e.name != "redis" {
			r.syncs = append(r.syncs, sample{kind: e.name, work: work{opAdd, 64},
				figures: figures{syncs: 0.31 * float64(i+1), busiest: 0.1}})
		}
	}
	r.trouble = []string{"round 3: redis did not start\nit says why"}
	return r
}

func TestReport(t *testing.T) {
	for format, name := range map[string]string{"text": "report.txt", "markdown": "report.md"} {
		var out bytes.Buffer
		if err := render(&out, format, madeUp(t).blocks()); err != nil {
			t.Fatal(err)
		}
		testutil.Golden(t, name, out.String())
	}
}

// A report on distcache alone, without syncs.
func TestReportAlone(t *testing.T) {
	r := madeUp(t)
	r.entrants, r.syncs, r.trouble, r.noSyncs = r.entrants[:1], nil, nil, "not counted: no reason"
	r.samples = r.samples.of("bolt", work{opGet, 1})
	var out bytes.Buffer
	if err := render(&out, "text", r.blocks()); err != nil {
		t.Fatal(err)
	}
	testutil.Golden(t, "alone.txt", out.String())
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		digits int
		n      float64
		want   string
	}{
		{3, 0, "0"}, {3, 0.0123456, "0.0123"}, {3, 1, "1.00"}, {3, 12.345, "12.3"}, {3, 123.9, "124"},
		{3, 123456, "123456"}, {0, 0.4, "0"}, {0, 1234.5678, "1235"}, {3, unknown, "-"},
	} {
		if got := number(c.digits, c.n); got != c.want {
			t.Errorf("%v with %d digits: %q instead of %q", c.n, c.digits, got, c.want)
		}
	}
}
