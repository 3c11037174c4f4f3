// Package metrics exports the daemons' metrics to Prometheus. This package has the metrics of all daemons that serve
// clients. Package node has those of a replicated store, package upstream those of the proxy's servers.
//
// All names begin with distcache_. Label values come from small fixed sets, or are addresses that the operator gave,
// but never come from a client. docs has alert rules and a dashboard that use the names.
package metrics

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
)

// Bounds on what scrapers can take up.
const (
	maxScrapes    = 4
	scrapeTimeout = 10 * time.Second
)

// New makes a registry, with the metrics of the process and of the Go runtime.
func New() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "distcache_build_info",
		Help: "The version of the program and of Go; always 1.",
	}, []string{"version", "goversion"})
	build.WithLabelValues(config.Version(), runtime.Version()).Set(1)
	reg.MustRegister(build)
	return reg
}

// Handler answers scrapes.
func Handler(reg *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout})
}

// A Latency is a histogram of how long requests take. Its method Observe is for server.Config.
type Latency struct {
	byOp [wire.UserOps]prometheus.Observer
}

// NewLatency registers a Latency.
func NewLatency(reg prometheus.Registerer) *Latency {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "distcache_request_duration_seconds",
		Help: "Time from a request's arrival to its answer.",
		Buckets: []float64{
			50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5,
		},
	}, []string{"operation"})
	reg.MustRegister(vec)
	l := new(Latency)
	for op := range l.byOp {
		l.byOp[op] = vec.WithLabelValues(Operation(wire.Op(op)))
	}
	return l
}

// Observe records one answer.
func (l *Latency) Observe(op wire.Op, _ wire.Status, took time.Duration) {
	if int(op) < len(l.byOp) {
		l.byOp[op].Observe(took.Seconds())
	}
}

// AddServer registers the metrics of a listener.
func AddServer(reg prometheus.Registerer, stats func() server.Stats) {
	reg.MustRegister(Collector(serverDescs.all(), func(out Out) {
		s, d := stats(), &serverDescs
		for op := range wire.UserOps {
			for i, n := range s.Answers[op] {
				out.Counter(d.requests, float64(n), Operation(wire.Op(op)), status(i))
			}
		}
		out.Gauge(d.inFlight, float64(s.InFlight))
		out.Counter(d.overloaded, float64(s.Overloaded))
		out.Gauge(d.connections, float64(s.Connections))
		out.Gauge(d.mostConns, float64(s.MaxConns))
		out.Counter(d.accepted, float64(s.Accepted))
		out.Counter(d.refused, float64(s.Refused))
		out.Counter(d.dropped, float64(s.Broken), "malformed")
		out.Counter(d.dropped, float64(s.Stalled), "stalled")
		out.Counter(d.dropped, float64(s.Idled), "idle")
		out.Counter(d.received, float64(s.BytesIn))
		out.Counter(d.sent, float64(s.BytesOut))
		out.Gauge(d.untaken, float64(s.Untaken))
		out.Gauge(d.held, float64(s.Held))
	}))
}

// A Sessions is a store that counts its sessions, and those that have expired or were evicted.
type Sessions interface {
	Len() int
	Dropped() (expired, evicted uint64)
}

// AddSessions registers a store's session counts, and its limit of sessions, 0 for none.
func AddSessions(reg prometheus.Registerer, store Sessions, limit uint64) {
	reg.MustRegister(
		Collector([]*prometheus.Desc{sessionsExpired, sessionsEvicted}, func(out Out) {
			expired, evicted := store.Dropped()
			out.Counter(sessionsExpired, float64(expired))
			out.Counter(sessionsEvicted, float64(evicted))
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "distcache_sessions",
			Help: "Live sessions that this process has.",
		}, func() float64 { return float64(store.Len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "distcache_sessions_limit",
			Help: "The most sessions kept, 0 for no limit.",
		}, func() float64 { return float64(limit) }),
	)
}

var (
	sessionsExpired = Desc("sessions_expired_total", "Sessions that this process has dropped at the end of their time.")
	sessionsEvicted = Desc("sessions_evicted_total",
		"Sessions that this process has pushed out before the end of their time, to keep to the limit.")
)

type serverDesc struct {
	requests, inFlight, overloaded, connections, mostConns, accepted, refused, dropped *prometheus.Desc
	received, sent, untaken, held                                                      *prometheus.Desc
}

func (d *serverDesc) all() []*prometheus.Desc {
	return []*prometheus.Desc{
		d.requests, d.inFlight, d.overloaded, d.connections, d.mostConns, d.accepted, d.refused, d.dropped,
		d.received, d.sent, d.untaken, d.held,
	}
}

var serverDescs = serverDesc{
	requests: Desc("requests_total", "Requests answered, by operation and the answer's status.",
		"operation", "status"),
	inFlight: Desc("requests_in_flight", "Requests that the store is busy with."),
	overloaded: Desc("requests_overload_total",
		"Requests answered DISCONNECTED at once because too many were in flight."),
	connections: Desc("connections", "Clients' connections that are open."),
	mostConns:   Desc("connections_limit", "The most clients' connections that may be open; more are closed at once."),
	accepted:    Desc("connections_accepted_total", "Clients' connections taken."),
	refused:     Desc("connections_refused_total", "Clients' connections closed at once because too many were open."),
	dropped: Desc("connections_dropped_total", "Clients' connections that this side closed: malformed traffic, "+
		"stalled in the middle of a message or an answer, or idle.", "reason"),
	received: Desc("received_bytes_total", "Bytes received from clients."),
	sent:     Desc("sent_bytes_total", "Bytes sent to clients."),
	held:     Desc("requests_in_flight_bytes", "Bytes of requests that the store is busy with."),
	untaken:  Desc("untaken_answer_bytes", "Bytes of answers that wait for their clients to take them."),
}

// Operation is the label of an operation.
func Operation(op wire.Op) string {
	switch op {
	case wire.OpAdd:
		return "add"
	case wire.OpGet:
		return "get"
	case wire.OpRemove:
		return "remove"
	case wire.OpHave:
		return "have"
	}
	return "other"
}

// status is the label of index i of the statuses in server.Stats.
func status(i int) string {
	all := server.Statuses()
	if i >= len(all) {
		return "other"
	}
	switch all[i] {
	case wire.OK:
		return "ok"
	case wire.NotOK:
		return "not_ok"
	case wire.Disconnected:
		return "disconnected"
	case wire.Corrupt:
		return "corrupt"
	case wire.MatchingSession:
		return "matching_session"
	case wire.TimeoutRange:
		return "timeout_range"
	case wire.IDRange:
		return "id_range"
	case wire.DataRange:
		return "data_range"
	}
	return "other"
}

var certificateDays = Desc("certificate_days_left", "For how many days this program's certificate is valid.")

// AddCertificate registers the metric of a program's certificate.
func AddCertificate(reg prometheus.Registerer, days func() float64) {
	reg.MustRegister(Collector([]*prometheus.Desc{certificateDays}, func(out Out) {
		out.Gauge(certificateDays, days())
	}))
}
