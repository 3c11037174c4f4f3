package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
)

func benchOf(t *testing.T, mix string, addresses ...wire.Address) BenchConfig {
	t.Helper()
	m, err := ParseMix(mix)
	if err != nil {
		t.Fatal(err)
	}
	return BenchConfig{Addresses: addresses, Workers: 3, Pipeline: 4, Persistent: true, Mix: m,
		Duration: 300 * time.Millisecond, DataMin: 100, DataMax: 3000, Sessions: 50, Timeout: time.Minute}
}

func TestBench(t *testing.T) {
	m := newMemory(t)
	a, _ := serve(t, m, "")
	b, _ := serve(t, m, "")
	for name, change := range map[string]func(*BenchConfig){
		"pipelined":  func(*BenchConfig) {},
		"one by one": func(c *BenchConfig) { c.Pipeline = 1 },
		"each time":  func(c *BenchConfig) { c.Persistent, c.Pipeline = false, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := benchOf(t, "add=3,get=3,have=2,remove=2", a, b)
			change(&cfg)
			r := measured(t, cfg, fourKinds)
			if len(r.Errors) > 0 || r.Total.Errors > 0 || r.Total.Missed > 0 {
				t.Errorf("errors: %v, missed %d", r.Errors, r.Total.Missed)
			}
			var ops, points uint64
			for _, o := range r.Ops {
				ops += o.Good
				l := o.Latency
				if o.Good == 0 || l.P50 <= 0 || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.P999 || l.P999 > l.Max {
					t.Errorf("%s: %+v", o.Op, o)
				}
			}
			for _, p := range r.Series {
				points += p.Good
			}
			if len(r.Ops) != 4 || ops != r.Total.Good || points == 0 || points > ops {
				t.Errorf("%d operations, %d answers, %d in all, %d in the series",
					len(r.Ops), ops, r.Total.Good, points)
			}
			var out bytes.Buffer
			if err := r.Print(&out); err != nil || !strings.Contains(out.String(), "no errors") {
				t.Errorf("%v: %s", err, &out)
			}
			if b, err := json.Marshal(r); err != nil || !strings.Contains(string(b), `"p99_9"`) {
				t.Errorf("%v: %s", err, b)
			}
		})
	}
}

// A benchmark over stores, at a rate, can be run again with the sessions that are there.
func TestBenchAgain(t *testing.T) {
	m := newMemory(t)
	a, _ := serve(t, m, "")
	cfg := benchOf(t, "get=1", a)
	cfg.Open, cfg.Addresses, cfg.PreloadTimeout = Servers(cfg.Addresses), nil, time.Hour
	b, err := NewBench(t.Context(), cfg)
	if err != nil || m.Len() != cfg.Sessions {
		t.Fatalf("%d sessions: %v", m.Len(), err)
	}
	added := 0
	for _, mix := range []string{"add=1,get=1", "get=1", "add=1"} {
		b.Mix, err = ParseMix(mix)
		if err != nil {
			t.Fatal(err)
		}
		b.Rate = 200
		r, err := b.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if most := uint64(b.Rate*b.Duration.Seconds()) + uint64(b.Workers); r.Total.Good == 0 || r.Total.Good > most ||
			r.Total.Errors > 0 || r.Total.Missed > 0 {
			t.Errorf("%s: %+v, errors %v", mix, r.Total, r.Errors)
		}
		if mix == "get=1" && m.Len() != cfg.Sessions+added {
			t.Errorf("%d sessions after %s", m.Len(), mix)
		}
		added = m.Len() - cfg.Sessions
	}
	if err := b.Keep(t.Context(), 7); err != nil || m.Len() != 7+added || b.Sessions != 7 {
		t.Errorf("%d sessions are left: %v", m.Len(), err)
	}
	id, data := b.Session(6)
	if got, err := m.Get(t.Context(), id); err != nil || !bytes.Equal(got, data) {
		t.Errorf("one of them is gone: %v", err)
	}
}

// The servers have exactly the sessions that the benchmark added.
func TestBenchReallyAdds(t *testing.T) {
	m := newMemory(t)
	a, _ := serve(t, m, "")
	r, err := RunBench(t.Context(), benchOf(t, "add=1", a))
	if err != nil {
		t.Fatal(err)
	}
	// Requests under way at the end may have been carried out without being counted.
	if n := uint64(m.Len()); n < r.Total.Good || n > r.Total.Good+3*4 {
		t.Errorf("%d sessions after %d ADDs", n, r.Total.Good)
	}
}

func TestBenchCountsWhatIsWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		store *badStore
		mix   string
		error string
	}{
		"data":       {&badStore{alter: true}, "get=1", "wrong data"},
		"duplicates": {&badStore{deny: true}, "add=1", "MATCHING_SESSION"},
		"failing":    {&badStore{fail: true}, "add=1", "DISCONNECTED"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.store.Store, tt.store.every = newMemory(t), 20
			a, _ := serve(t, tt.store, "")
			r := measured(t, benchOf(t, tt.mix, a), func(r *Result) bool {
				return r.Errors[tt.error] > 0 && r.Total.Good > 0
			})
			if r.Errors[tt.error] == 0 || r.Total.Errors != r.Errors[tt.error] || r.Total.Good == 0 {
				t.Errorf("%d good, %d errors, by kind %v", r.Total.Good, r.Total.Errors, r.Errors)
			}
		})
	}
}

// A miss is an answer, and counted.
func TestBenchMisses(t *testing.T) {
	a, _ := serve(t, &badStore{Store: newMemory(t), forget: true, every: 10}, "")
	r := measured(t, benchOf(t, "get=1", a), func(r *Result) bool {
		return r.Total.Missed > 0 && r.Total.Missed < r.Total.Good
	})
	if r.Total.Missed == 0 || r.Total.Missed >= r.Total.Good || r.Total.Errors != 0 {
		t.Errorf("%+v", r)
	}
}

// The benchmark survives the death of its server, counts the errors, and goes on when the server is back.
func TestBenchOutlivesServer(t *testing.T) {
	for name, change := range map[string]func(*BenchConfig){
		"pipelined":  func(*BenchConfig) {},
		"one by one": func(c *BenchConfig) { c.Pipeline = 1 },
		"each time":  func(c *BenchConfig) { c.Persistent, c.Pipeline = false, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(t)
			a, stop := serve(t, m, "")
			at := strings.TrimPrefix(a.String(), "IP:")
			cfg := benchOf(t, "add=1", a)
			cfg.Duration = time.Hour // until ctx is done
			change(&cfg)
			var bad atomic.Uint64
			cfg.Live = func(l Live) { bad.Store(l.Errors) }
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := make(chan *Result, 1)
			go func() {
				r, err := RunBench(ctx, cfg)
				if err != nil {
					t.Error(err)
				}
				out <- r
			}()
			testutil.Eventually(t, "sessions", func() bool { return m.Len() > 100 })
			stop()
			testutil.Eventually(t, "errors", func() bool { return bad.Load() > 0 })
			before := m.Len()
			serve(t, m, at)
			testutil.Eventually(t, "sessions again", func() bool { return m.Len() > before+100 })
			cancel()
			if r := <-out; r.Total.Good < 150 || r.LongestGap <= 0 || len(r.Errors) == 0 {
				t.Errorf("%d good, longest gap %v s, errors %v", r.Total.Good, r.LongestGap, r.Errors)
			}
		})
	}
}

// Workers without a loop: a goroutine each.
func TestWorkers(t *testing.T) {
	a, _ := serve(t, newMemory(t), "")
	for name, persistent := range map[string]bool{"one by one": true, "each time": false} {
		t.Run(name, func(t *testing.T) {
			cfg := benchOf(t, "add=3,get=3,have=2,remove=2", a)
			cfg.Persistent, cfg.Pipeline = persistent, 1
			r := measuredBy(t, cfg, (*Bench).startWorkers, fourKinds)
			if len(r.Errors) > 0 || r.Total.Good == 0 || len(r.Ops) != 4 {
				t.Errorf("errors %v, %d good, %d operations", r.Errors, r.Total.Good, len(r.Ops))
			}
		})
	}
}

// Benchmarks and ledgers reach servers by TLS.
func TestOverTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // has a certificate
	web.Close()
	free, err := procs.FreeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	at := testutil.Address(t, "TLS:"+free[0])
	l, err := at.WithTLS(&wire.TLS{Config: web.TLS}).Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{Store: newMemory(t)})
	if err != nil {
		t.Fatal(err)
	}
	testutil.Serve(t, l, s)
	at = at.WithTLS(&wire.TLS{Config: web.Client().Transport.(*http.Transport).TLSClientConfig})
	for name, persistent := range map[string]bool{"kept": true, "each time": false} {
		t.Run(name, func(t *testing.T) {
			cfg := benchOf(t, "add=1,get=1", at)
			cfg.Persistent, cfg.Pipeline = persistent, 1
			r := measured(t, cfg, func(r *Result) bool { return r.Total.Good > 0 })
			if len(r.Errors) > 0 || r.Total.Good == 0 {
				t.Errorf("%d good, errors %v", r.Total.Good, r.Errors)
			}
		})
	}
	ledger := newLedger(t, at)
	if err := runLedger(t, ledger, func(c Counts) bool { return c.Added > 50 }); err != nil {
		t.Error(err)
	}
	if err := ledger.Verify(t.Context(), at); err != nil {
		t.Error(err)
	}
}

// Of several servers one may be down from the start.
func TestBenchWithOneServerDown(t *testing.T) {
	a, _ := serve(t, newMemory(t), "")
	cfg := benchOf(t, "get=1", testutil.Address(t, "UNIX:/nobody/listens"), a)
	cfg.Pipeline = 1
	r := measured(t, cfg, func(r *Result) bool { return r.Total.Good > 0 && r.Errors["not sent"] > 0 })
	if r.Total.Good == 0 || r.Total.Missed > 0 || r.Errors["not sent"] == 0 {
		t.Errorf("%+v", r)
	}
}

func TestBenchThatCannotStart(t *testing.T) {
	nobody := testutil.Address(t, "IP:127.0.0.1:1")
	_, err := RunBench(t.Context(), benchOf(t, "get=1", nobody))
	if err == nil || !strings.Contains(err.Error(), "connect to IP:127.0.0.1:1") {
		t.Errorf("without a server: %v", err)
	}
	for name, change := range map[string]func(*BenchConfig){
		"no address":  func(c *BenchConfig) { c.Addresses = nil },
		"no workers":  func(c *BenchConfig) { c.Workers = 0 },
		"no pipeline": func(c *BenchConfig) { c.Pipeline = 0 },
		"pipeline":    func(c *BenchConfig) { c.Persistent = false },
		"no duration": func(c *BenchConfig) { c.Duration = 0 },
		"no sessions": func(c *BenchConfig) { c.Sessions = 0 },
		"sizes":       func(c *BenchConfig) { c.DataMin = 0 },
		"no mix":      func(c *BenchConfig) { c.Mix = Mix{} },
		"timeout":     func(c *BenchConfig) { c.Timeout = -1 },
	} {
		cfg := benchOf(t, "get=1", nobody)
		change(&cfg)
		if _, err := RunBench(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "connect to IP:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseMix(t *testing.T) {
	m, err := ParseMix("add=10, GET=90")
	if err != nil || m.String() != "add=10,get=90" {
		t.Errorf("%v, %v", m, err)
	}
	var picked Mix
	for r := range uint64(1000) {
		picked[m.pick(r)]++
	}
	if picked != (Mix{100, 900}) {
		t.Errorf("picked %v", picked)
	}
	for _, bad := range []string{"", "add", "put=1", "add=-1", "add=x", "add=0", "get=90,remove=10", "add=9999999"} {
		if _, err := ParseMix(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestFifo(t *testing.T) {
	var f fifo
	for n := range uint64(maxFifo + 10) {
		f.push(n)
	}
	for n := range uint64(maxFifo) {
		if got, ok := f.pop(); !ok || got != n+10 {
			t.Fatalf("popped %d, %v, want %d", got, ok, n+10)
		}
	}
	if _, ok := f.pop(); ok {
		t.Error("popped from an empty one")
	}
}

func TestCorpus(t *testing.T) {
	c, err := newCorpus(5, 9)
	if err != nil {
		t.Fatal(err)
	}
	ids, sizes := map[string]bool{}, map[int]bool{}
	for n := range uint64(2000) {
		ids[string(c.id(nil, n))] = true
		sizes[len(c.data(n))] = true
		if !bytes.Equal(c.data(n), c.data(n)) {
			t.Error("data differ")
		}
	}
	if len(ids) != 2000 || len(sizes) != 5 || !sizes[5] || !sizes[9] {
		t.Errorf("%d ids, sizes %v", len(ids), sizes)
	}
	other, _ := newCorpus(5, 9)
	if bytes.Equal(c.id(nil, 1), other.id(nil, 1)) {
		t.Error("two corpora have the same ids")
	}
}
