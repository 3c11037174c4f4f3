package metrics_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/distcache/distcache/internal/metrics"
	"github.com/distcache/distcache/internal/metrics/node"
	"github.com/distcache/distcache/internal/metrics/upstream"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/proxy"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// serve starts a listener over a store, with a registry of its metrics.
func serve(t *testing.T, reg prometheus.Registerer, store store.Store) wire.Address {
	t.Helper()
	s, err := server.New(server.Config{
		Store: store, Observe: metrics.NewLatency(reg).Observe,
		Limits: server.Limits{RequestTimeout: testutil.Patience},
	})
	if err != nil {
		t.Fatal(err)
	}
	metrics.AddServer(reg, s.Stats)
	l := testutil.Listen(t, "tcp")
	testutil.Serve(t, l, s)
	return testutil.At(t, l)
}

// serverRegistry is the registry of a dc_server, a single node.
func serverRegistry(t *testing.T) *prometheus.Registry {
	t.Helper()
	store, err := raftstore.Open(raftstore.Config{Dir: t.TempDir(), Name: "n1", Sessions: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	reg := metrics.New()
	metrics.AddSessions(reg, store, 1000)
	node.Add(reg, store)
	at := serve(t, reg, store)
	c, err := client.Dial(at.String(), client.WithTimeout(2*testutil.Patience))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*testutil.Patience)
	defer cancel()
	if err := c.Add(ctx, []byte("id"), []byte("data"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, []byte("id")); err != nil {
		t.Fatal(err)
	}
	if err := c.Have(ctx, []byte("other")); err != wire.NotOK {
		t.Fatal(err)
	}
	return reg
}

// proxyRegistry is the registry of a dc_client with one server.
func proxyRegistry(t *testing.T) *prometheus.Registry {
	t.Helper()
	store := store.NewMemory(0)
	t.Cleanup(func() { store.Close() })
	at := serve(t, prometheus.NewRegistry(), store)
	// A server that is given twice, by mistake, must not spoil the metrics.
	p, err := proxy.New(proxy.Config{Servers: []proxy.Server{proxy.At(at), proxy.At(at)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	reg := metrics.New()
	upstream.Add(reg, p.Status)
	serve(t, reg, p)
	return reg
}

func scrape(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	metrics.Handler(reg).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	b, err := io.ReadAll(w.Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d, %v: %s", w.Code, err, b)
	}
	return string(b)
}

func TestNamesFollowTheConventions(t *testing.T) {
	for name, reg := range map[string]*prometheus.Registry{"server": serverRegistry(t), "proxy": proxyRegistry(t)} {
		problems, err := promtest.GatherAndLint(reg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", name, p.Metric, p.Text)
		}
	}
}

func TestServerMetricsCount(t *testing.T) {
	text := scrape(t, serverRegistry(t))
	for _, want := range []string{
		`distcache_requests_total{operation="add",status="ok"} 1`,
		`distcache_requests_total{operation="get",status="ok"} 1`,
		`distcache_requests_total{operation="have",status="not_ok"} 1`,
		`distcache_requests_total{operation="remove",status="matching_session"} 0`,
		`distcache_request_duration_seconds_count{operation="get"} 1`,
		`distcache_connections_accepted_total 1`,
		`distcache_sessions 1`,
		`distcache_sessions_limit 1000`,
		`distcache_sessions_expired_total 0`,
		`distcache_sessions_evicted_total 0`,
		`distcache_connections_limit `,
		`distcache_raft_has_leader 1`,
		`distcache_raft_role{role="leader"} 1`,
		`distcache_raft_role{role="follower"} 0`,
		`distcache_raft_members{kind="voter"} 1`,
		`distcache_batch_operations_bucket{le="1"} `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	// On a slow machine there may have been several elections.
	if !regexp.MustCompile(`(?m)^distcache_raft_leader_changes_total [1-9]`).MatchString(text) {
		t.Error("no leader was counted")
	}
}

func TestUpstreamMetrics(t *testing.T) {
	since := time.Unix(1700000000, 500e6)
	status := proxy.Status{
		Servers: []proxy.ServerStatus{
			{Name: "IP:a:1", State: proxy.Ready, Used: true, InFlight: 7, Since: since},
			{Name: "IP:b:1", State: proxy.Waiting, Since: since},
			{Name: "IP:c:1", State: proxy.Down, Since: since, Error: "refused"},
			{Name: "IP:a:1", State: proxy.Ready},
		},
		Refused: 1, Again: 2, Unknown: 3,
	}
	reg := prometheus.NewRegistry()
	upstream.Add(reg, func() proxy.Status { return status })
	want := `
# HELP distcache_proxy_requests_refused_total Requests answered DISCONNECTED because no server took them.
# TYPE distcache_proxy_requests_refused_total counter
distcache_proxy_requests_refused_total 1
# HELP distcache_proxy_requests_retried_total Requests asked once more, of another server or on another connection.
# TYPE distcache_proxy_requests_retried_total counter
distcache_proxy_requests_retried_total 2
# HELP distcache_proxy_writes_unknown_total Writes answered DISCONNECTED because their fate is unknown.
# TYPE distcache_proxy_writes_unknown_total counter
distcache_proxy_writes_unknown_total 3
# HELP distcache_upstream_reachable 1 while the server is there, whether or not it can answer for its sessions.
# TYPE distcache_upstream_reachable gauge
distcache_upstream_reachable{server="IP:a:1"} 1
distcache_upstream_reachable{server="IP:b:1"} 1
distcache_upstream_reachable{server="IP:c:1"} 0
# HELP distcache_upstream_requests_in_flight Requests that the server owes an answer.
# TYPE distcache_upstream_requests_in_flight gauge
distcache_upstream_requests_in_flight{server="IP:a:1"} 7
distcache_upstream_requests_in_flight{server="IP:b:1"} 0
distcache_upstream_requests_in_flight{server="IP:c:1"} 0
# HELP distcache_upstream_state_change_timestamp_seconds When the server was last found to be there, or not to be.
# TYPE distcache_upstream_state_change_timestamp_seconds gauge
distcache_upstream_state_change_timestamp_seconds{server="IP:a:1"} 1.7000000005e+09
distcache_upstream_state_change_timestamp_seconds{server="IP:b:1"} 1.7000000005e+09
distcache_upstream_state_change_timestamp_seconds{server="IP:c:1"} 1.7000000005e+09
# HELP distcache_upstream_up 1 while the server is there and can answer for its sessions.
# TYPE distcache_upstream_up gauge
distcache_upstream_up{server="IP:a:1"} 1
distcache_upstream_up{server="IP:b:1"} 0
distcache_upstream_up{server="IP:c:1"} 0
# HELP distcache_upstream_used 1 for the server that requests go to.
# TYPE distcache_upstream_used gauge
distcache_upstream_used{server="IP:a:1"} 1
distcache_upstream_used{server="IP:b:1"} 0
distcache_upstream_used{server="IP:c:1"} 0
`
	if err := promtest.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// An unknown operation from a client must not become a label, nor crash the process.
func TestLatencyIgnoresOtherOperations(t *testing.T) {
	reg := prometheus.NewRegistry()
	l := metrics.NewLatency(reg)
	l.Observe(wire.Op(200), wire.OK, time.Second)
	l.Observe(wire.OpHave, wire.OK, time.Second)
	if n := promtest.CollectAndCount(reg, "distcache_request_duration_seconds"); n != int(wire.UserOps) {
		t.Errorf("%d operations are told apart", n)
	}
}
