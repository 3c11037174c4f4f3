package metrics

import "github.com/prometheus/client_golang/prometheus"

// Desc describes one of this project's metrics.
func Desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("distcache_"+name, help, labels, nil)
}

// An Out collects the values of one scrape.
type Out chan<- prometheus.Metric

// Counter adds a value that only grows.
func (out Out) Counter(d *prometheus.Desc, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

// Gauge adds a value that goes up and down.
func (out Out) Gauge(d *prometheus.Desc, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// Truth adds a gauge of 1 for true and 0 for false.
func (out Out) Truth(d *prometheus.Desc, v bool, labels ...string) {
	if v {
		out.Gauge(d, 1, labels...)
	} else {
		out.Gauge(d, 0, labels...)
	}
}

// Histogram adds a histogram. buckets[i] counts the values above bounds[i-1] and not above bounds[i]. The last bucket,
// one more than there are bounds, counts the rest.
func (out Out) Histogram(d *prometheus.Desc, bounds []float64, buckets []uint64, sum float64) {
	upTo := make(map[float64]uint64, len(bounds))
	var n uint64
	for i, b := range buckets {
		n += b
		if i < len(bounds) {
			upTo[bounds[i]] = n
		}
	}
	out <- prometheus.MustNewConstHistogram(d, n, sum, upTo)
}

// Collector makes a collector of a function that adds the values of the described metrics. Each scrape calls the
// function, on any goroutine.
func Collector(descs []*prometheus.Desc, collect func(Out)) prometheus.Collector {
	return &collector{descs, collect}
}

type collector struct {
	descs   []*prometheus.Desc
	collect func(Out)
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) { c.collect(Out(ch)) }
