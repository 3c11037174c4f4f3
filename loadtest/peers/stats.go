package main

import (
	"math"
	"slices"
)

// unknown is a figure that could not be measured. Spreads leave it out.
var unknown = math.NaN()

// figures are the results of one work on one contestant in one round.
type figures struct {
	rate     float64 // good answers a second
	p50, p99 float64 // of their latencies, in milliseconds
	servers  float64 // processor time of the servers for each answer, in microseconds
	load     float64 // processor time of the load for each answer, in microseconds
	disk     float64 // bytes written to the disk for each answer, on the average node
	syncs    float64 // syncs of the disk for each answer, by all nodes together, if counted
	busiest  float64 // syncs for each answer by the node with the most
	errors   tally
}

// A sample is figures, with the round, contestant and work that they belong to.
type sample struct {
	round int
	kind  string
	work  work
	figures
}

// newFigures makes figures of a measurement. Without answers, most figures are unknown.
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

// A spread is the median and the extremes of the rounds' figures. All are unknown when there are no figures.
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

// samples are the samples of a run.
type samples []sample

// of returns the samples of one kind and work.
func (list samples) of(kind string, w work) samples {
	return slices.DeleteFunc(slices.Clone(list), func(s sample) bool { return s.kind != kind || s.work != w })
}

// spread is the spread of one figure.
func (list samples) spread(figure func(figures) float64) spread {
	var values []float64
	for _, s := range list {
		values = append(values, figure(s.figures))
	}
	return newSpread(values)
}

// ratio is the spread of one kind's figure divided by another's in the same round.
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
