// Package upstream has the metrics of the servers that a proxy asks.
package upstream

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/distcache/distcache/internal/metrics"
	"github.com/distcache/distcache/proxy"
)

var (
	up       = metrics.Desc("upstream_up", "1 while the server is there and can answer for its sessions.", "server")
	reached  = metrics.Desc("upstream_reachable", "1 while the server is there, whether or not it can answer for its sessions.", "server")
	used     = metrics.Desc("upstream_used", "1 for the server that requests go to.", "server")
	inFlight = metrics.Desc("upstream_requests_in_flight", "Requests that the server owes an answer.", "server")
	since    = metrics.Desc("upstream_state_change_timestamp_seconds", "When the server was last found to be there, or not to be.", "server")
	refused  = metrics.Desc("proxy_requests_refused_total", "Requests answered DISCONNECTED because no server took them.")
	again    = metrics.Desc("proxy_requests_retried_total", "Requests asked once more, of another server or on another connection.")
	unknown  = metrics.Desc("proxy_writes_unknown_total", "Writes answered DISCONNECTED because their fate is unknown.")
)

var descs = []*prometheus.Desc{up, reached, used, inFlight, since, refused, again, unknown}

// Add registers a proxy's metrics.
func Add(reg prometheus.Registerer, status func() proxy.Status) {
	reg.MustRegister(metrics.Collector(descs, func(out metrics.Out) {
		s := status()
		told := map[string]bool{}
		for _, one := range s.Servers {
			if told[one.Name] { // the same address was given twice
				continue
			}
			told[one.Name] = true
			out.Truth(up, one.State == proxy.Ready, one.Name)
			out.Truth(reached, one.State != proxy.Down, one.Name)
			out.Truth(used, one.Used, one.Name)
			out.Gauge(inFlight, float64(one.InFlight), one.Name)
			out.Gauge(since, float64(one.Since.UnixMilli())/1000, one.Name)
		}
		out.Counter(refused, float64(s.Refused))
		out.Counter(again, float64(s.Again))
		out.Counter(unknown, float64(s.Unknown))
	}))
}
