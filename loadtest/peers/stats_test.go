package main

import (
	"math"
	"testing"
	"time"

	"github.com/distcache/distcache/loadtest"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{5, 1, 3}, spread{3, 1, 5}},
		{[]float64{4, 1, 2, 8}, spread{3, 1, 8}},
		{[]float64{unknown, 2, unknown}, spread{2, 2, 2}},
	} {
		if got := newSpread(c.in); got != c.want {
			t.Errorf("%v: %v instead of %v", c.in, got, c.want)
		}
	}
	if s := newSpread([]float64{unknown}); !math.IsNaN(s.median) || !math.IsNaN(s.least) || !math.IsNaN(s.most) {
		t.Errorf("of nothing: %v", s)
	}
}

// Ratios are made in each round that both contestants have; they are not ratios of medians.
func TestRatio(t *testing.T) {
	add := work{opAdd, 1}
	var list samples
	for round, r := range [][2]float64{{100, 10}, {50, 50}, {30, 10}} {
		list = append(list, sample{round, "a", add, figures{rate: r[0]}}, sample{round, "b", add, figures{rate: r[1]}})
	}
	list = append(list,
		sample{3, "a", add, figures{rate: 1e9}},             // the other failed
		sample{4, "a", add, figures{rate: 7}},               //
		sample{4, "b", add, figures{rate: 0}},               // no answer at all
		sample{0, "b", work{opGet, 1}, figures{rate: 1e-9}}, // another work
	)
	if got, want := list.ratio("a", "b", add, rate), (spread{3, 1, 10}); got != want {
		t.Errorf("%v instead of %v", got, want)
	}
}

// measured is a measurement of that many good answers.
func measured(good uint64, used *usage) *measurement {
	latency := loadtest.Latency{P50: 50e3, P99: 99e3}
	total := loadtest.OpResult{Good: good, PerSecond: float64(good) / 2, Latency: latency}
	return &measurement{Result: &loadtest.Result{Total: total}, used: used}
}

func TestFigures(t *testing.T) {
	disk := uint64(6000)
	m := measured(100, &usage{servers: 50 * time.Millisecond, load: 10 * time.Millisecond, disk: &disk})
	f := newFigures(m)
	if f.rate != 50 || f.p50 != 50 || f.p99 != 99 || f.servers != 500 || f.load != 100 || f.disk != 20 {
		t.Errorf("%+v", f)
	}
	m.used.disk = nil
	if f := newFigures(m); !math.IsNaN(f.disk) || f.load != 100 {
		t.Errorf("disk unknown: %+v", f)
	}
	if f := newFigures(measured(0, m.used)); f.rate != 0 || !math.IsNaN(f.p50) || !math.IsNaN(f.servers) {
		t.Errorf("no answers: %+v", f)
	}
}

func TestSyncs(t *testing.T) {
	if f := newFigures(measured(10, &usage{syncs: []uint64{5, 20, 5}})); f.syncs != 3 || f.busiest != 2 {
		t.Errorf("%+v", f)
	}
	if f := newFigures(measured(10, nil)); !math.IsNaN(f.syncs) || !math.IsNaN(f.busiest) {
		t.Errorf("unknown: %+v", f)
	}
}
