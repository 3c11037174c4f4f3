package proxy_test

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/proxy"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// serveBench serves a store on a unix socket and returns its address.
func serveBench(b *testing.B, store store.Store) wire.Address {
	b.Helper()
	s, err := server.New(server.Config{Store: store, Limits: server.Limits{RequestTimeout: time.Minute}})
	if err != nil {
		b.Fatal(err)
	}
	l := testutil.Listen(b, "unix")
	testutil.Serve(b, l, s)
	return testutil.At(b, l)
}

const benchData = 200

// exchange asks for a session and reads the answer, without a decoder so that the proxy's cost shows.
func exchange(nc net.Conn, request, buf []byte) error {
	if _, err := nc.Write(request); err != nil {
		return err
	}
	for want := wire.Size(benchData); want > 0; {
		n, err := nc.Read(buf[:want])
		if err != nil {
			return err
		}
		want -= n
	}
	return nil
}

// BenchmarkProxy is callers that read one of 100 sessions at a time through the proxy, each time on a connection of
// its own as httpd does, or on one that they keep. Callers, proxy and server share this process.
func BenchmarkProxy(b *testing.B) {
	for _, c := range []struct {
		callers int
		keep    bool
	}{{1, false}, {16, false}, {64, false}, {64, true}} {
		b.Run(fmt.Sprintf("callers=%d/keep=%v", c.callers, c.keep), func(b *testing.B) {
			benchProxy(b, c.callers, c.keep)
		})
	}
}

func benchProxy(b *testing.B, callers int, keep bool) {
	store := store.NewMemory(0)
	defer store.Close()
	var requests [][]byte
	for i := range 100 {
		id := fmt.Appendf(nil, "%032d", i)
		if err := store.Add(b.Context(), id, make([]byte, benchData), time.Hour); err != nil {
			b.Fatal(err)
		}
		requests = append(requests, wire.AppendMessage(nil, &wire.Message{UID: 1, Op: wire.OpGet, Payload: id}))
	}
	p, err := proxy.New(proxy.Config{Servers: []proxy.Server{proxy.At(serveBench(b, store))}, Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	if !p.Settle(b.Context()) {
		b.Fatal("no server")
	}
	at := serveBench(b, p)
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			var nc net.Conn
			buf := make([]byte, 4096)
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				var err error
				if nc == nil {
					if nc, err = at.Dial(b.Context()); err != nil {
						b.Error(err)
						return
					}
				}
				if err := exchange(nc, requests[i%100], buf); err != nil {
					b.Error(err)
					return
				}
				if !keep {
					nc.Close()
					nc = nil
				}
			}
			if nc != nil {
				nc.Close()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}
