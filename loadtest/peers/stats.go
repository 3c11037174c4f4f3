package main

import (
	"math"
	"slices"
)

// unknown is a figure that could not be measured. It is left out of a spread.
var unknown = math.NaN()

// figures are what came of one work on one contestant in one round.
type figures struct {
	rate     float64 // good answers a second
	p50, p99 float64 // of their latencies, in milliseconds
	servers  float64 // processor time of the servers for each, in microseconds
	load     float64 // and of the load
	disk     float64 // bytes written to the disk for each, on the average node
	syncs    float64 // of the disk for each, by all nodes together, where they are counted
	busiest  float64 // syncs by the node with the most
	errors   tally
}

// A sample is figures and whose they are.
type sample struct {
	round int
	kind  string
	work  work
	figures
}

// newFigures makes figures of a measurement. Those about single answers are unknown when there was none.
func newFigures(m *measurement) figures {
	n := float64(m.Total.Good)
	f := figures{rate: m.Total.PerSecond, p50: unknown, p99: unknown, servers: unknown, load: unknown, disk: unknown,
		syncs: unknown, busiest: unknown, errors: m.errors}
	if n == 0 {
		return f
	}
	f.p50, f.p99 = m.Total.Latency.P50/1e3, m.Total.Latency.P99/1e3
	if u := m.used; u != nil {
		f.servers = float64(u.servers.Microseconds()) / n
		f.load = float64(u.load.Microseconds()) / n
		if u.disk != nil {
			f.disk = float64(*u.disk) / nodes / n
		}
		if u.syncs != nil {
			f.syncs, f.busiest = 0, float64(slices.Max(u.syncs))/n
			for _, count := range u.syncs {
				f.syncs += float64(count) / n
			}
		}
	}
	return f
}

// A spread is what the rounds' figures come to. All are unknown when there was none.
type spread struct{ median, least, most float64 }

func newSpread(list []float64) spread {
	list = slices.DeleteFunc(slices.Clone(list), math.IsNaN)
	if len(list) == 0 {
		return spread{unknown, unknown, unknown}
	}
	slices.Sort(list)
	mid := len(list) / 2
	s := spread{median: list[mid], least: list[0], most: list[len(list)-1]}
	if len(list)%2 == 0 {
		s.median = (list[mid-1] + list[mid]) / 2
	}
	return s
}

// samples are all that a run has measured.
type samples []sample

// of are the samples of one kind and work.
func (list samples) of(kind string, w work) samples {
	return slices.DeleteFunc(slices.Clone(list), func(s sample) bool { return s.kind != kind || s.work != w })
}

// spread is that of one figure.
func (list samples) spread(figure func(figures) float64) spread {
	var values []float64
	for _, s := range list {
		values = append(values, figure(s.figures))
	}
	return newSpread(values)
}

// ratio is the spread of one kind's figure divided by another's of the same round.
func (list samples) ratio(over, under string, w work, figure func(figures) float64) spread {
	var values []float64
	for _, a := range list.of(over, w) {
		for _, b := range list.of(under, w) {
			if d := figure(b.figures); a.round == b.round && d != 0 {
				values = append(values, figure(a.figures)/d)
			}
		}
	}
	return newSpread(values)
}
