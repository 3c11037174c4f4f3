package server_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// slowPath is a store that the listener has to hand to workers.
type slowPath struct{ store.Store }

func benchStores(b *testing.B, f func(b *testing.B, i *instance)) {
	for _, prompt := range []bool{true, false} {
		name := "workers"
		if prompt {
			name = "prompt"
		}
		b.Run(name, func(b *testing.B) {
			m := store.NewMemory(0)
			defer m.Close()
			for n := range 100 {
				if err := m.Add(context.Background(), benchID(n), make([]byte, 200), time.Hour); err != nil {
					b.Fatal(err)
				}
			}
			cfg := server.Config{Store: m}
			if !prompt {
				cfg.Store = slowPath{m}
			}
			b.ReportAllocs()
			f(b, start(b, "unix", cfg))
		})
	}
}

func benchID(n int) []byte { return fmt.Appendf(nil, "%032d", n) }

// exchange asks for a session and reads the answer without a decoder, so that the server's cost shows.
func exchange(nc net.Conn, req, buf []byte) error {
	if _, err := nc.Write(req); err != nil {
		return err
	}
	for want := wire.Size(200); want > 0; {
		n, err := nc.Read(buf[:want])
		if err != nil {
			return err
		}
		want -= n
	}
	return nil
}

// One request at a time on a connection that is kept.
func BenchmarkPersistent(b *testing.B) {
	benchStores(b, func(b *testing.B, i *instance) {
		b.RunParallel(func(pb *testing.PB) {
			nc, err := net.Dial("unix", i.addr.String())
			if err != nil {
				b.Error(err)
				return
			}
			defer nc.Close()
			req, buf := request(1, wire.OpGet, benchID(1)), make([]byte, 4096)
			for pb.Next() {
				if err := exchange(nc, req, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// A connection for each request, which is httpd's way.
func BenchmarkShort(b *testing.B) {
	benchStores(b, func(b *testing.B, i *instance) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			req, buf := request(1, wire.OpGet, benchID(1)), make([]byte, 4096)
			for pb.Next() {
				nc, err := net.Dial("unix", i.addr.String())
				if err != nil {
					b.Error(err)
					return
				}
				if err := exchange(nc, req, buf); err != nil {
					b.Error(err)
					return
				}
				nc.Close()
			}
		})
	})
}

// 512 requests in flight on one connection.
func BenchmarkPipelined(b *testing.B) {
	const depth = 512
	benchStores(b, func(b *testing.B, i *instance) {
		nc, err := net.Dial("unix", i.addr.String())
		if err != nil {
			b.Fatal(err)
		}
		defer nc.Close()
		window := make(chan struct{}, depth)
		go func() {
			var burst []byte
			for n := 0; n < b.N; {
				burst = burst[:0]
				window <- struct{}{}
				for more := true; more && n < b.N; {
					burst = wire.AppendMessage(burst, &wire.Message{UID: uint32(n), Op: wire.OpGet, Payload: benchID(n % 100)})
					n++
					select {
					case window <- struct{}{}:
					default:
						more = false
					}
				}
				if _, err := nc.Write(burst); err != nil {
					b.Error(err)
					return
				}
			}
		}()
		r := wire.NewReader(nc, wire.Responses)
		var m wire.Message
		for range b.N {
			if err := r.Read(&m); err != nil {
				b.Fatal(err)
			}
			if len(m.Payload) != 200 {
				b.Fatalf("answer of %d bytes", len(m.Payload))
			}
			<-window
		}
	})
}
