package proxy_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/proxy"
	"github.com/distcache/distcache/wire"
)

func TestOperations(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		w.want(wire.NotOK, wire.OpGet, "x")
		w.want(nil, wire.OpAdd, "x")
		w.want(wire.MatchingSession, wire.OpAdd, "x")
		w.want(nil, wire.OpGet, "x")
		w.want(nil, wire.OpHave, "x")
		w.want(nil, wire.OpRemove, "x")
		w.want(wire.NotOK, wire.OpRemove, "x")
		w.want(wire.NotOK, wire.OpHave, "x")
		w.want(wire.NotOK, wire.OpHave, "")
		if err := w.Add(t.Context(), []byte("x"), nil, time.Hour); err != wire.DataRange {
			t.Errorf("ADD of nothing: %v", err)
		}
		err := w.Add(t.Context(), make([]byte, 64), make([]byte, wire.MaxAddData), time.Hour)
		if err != wire.DataRange {
			t.Errorf("ADD of more than a message holds: %v", err)
		}
	})
}

func TestManyInFlight(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		const many = 4096
		for i := range many {
			id := fmt.Sprint(i)
			if err := w.store.Add(t.Context(), []byte(id), []byte("data of "+id), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		gate, n := make(chan struct{}), 0
		f := w.servers[0]
		f.set(func(wire.Op, []byte) verdict { <-gate; return serve })
		done := make(chan error, many)
		for i := range many {
			go func() { done <- w.request(wire.OpGet, fmt.Sprint(i)) }()
		}
		synctest.Wait()
		if n = w.Status().Servers[0].InFlight; n != many {
			t.Errorf("%d requests in flight, want %d", n, many)
		}
		close(gate)
		for range many {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if n := f.brought(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestTooManyInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.open(proxy.Config{MaxInFlight: 2})
		w.Settle(t.Context())
		synctest.Wait()
		w.servers[0].freeze()
		a, b := w.begin(wire.OpHave, "x"), w.begin(wire.OpHave, "x")
		(<-w.begin(wire.OpHave, "x")).want(t, wire.Disconnected, 0)
		w.servers[0].thaw()
		(<-a).want(t, wire.NotOK, 0)
		(<-b).want(t, wire.NotOK, 0)
	})
}

// One request is never answered: its place is free again when its time is up.
func TestLostRequest(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		w.servers[0].set(func(_ wire.Op, id []byte) verdict {
			if string(id) == "lost" {
				return drop
			}
			return serve
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Have(ctx, []byte("lost")); err != wire.Disconnected {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Second)
		if n := w.Status().Servers[0].InFlight; n != 0 {
			t.Errorf("%d requests are still under way", n)
		}
		time.Sleep(time.Minute)
		w.want(wire.NotOK, wire.OpHave, "x")
		if n := w.servers[0].brought(); n != 1 {
			t.Errorf("the server was connected to %d times", n)
		}
	})
}

func TestNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.servers[0].stop()
		w.servers[1].stop()
		w.open(proxy.Config{Retry: 2 * time.Second})
		if w.Settle(t.Context()) {
			t.Fatal("a server is used")
		}
		for i := range 1000 {
			(<-w.begin(allOps[i%4], "x")).want(t, wire.Disconnected, 0)
		}
		began := time.Now()
		time.Sleep(10 * time.Minute)
		w.servers[0].mu.Lock()
		dials := slices.Clone(w.servers[0].dials)
		w.servers[0].mu.Unlock()
		for i, at := range dials[1:] {
			if gap := at.Sub(dials[i]); gap > 2*time.Second {
				t.Errorf("attempt %d to connect came %v after the last", i+1, gap)
			}
		}
		if dials[1] != dials[0] {
			t.Errorf("the second attempt came after %v, not at once", dials[1].Sub(dials[0]))
		}
		if n := int(time.Since(began) / time.Second); len(dials) > n+10 {
			t.Errorf("%d attempts to connect in %d s", len(dials), n)
		}
		w.servers[1].start()
		time.Sleep(2 * time.Second)
		w.want(wire.NotOK, wire.OpHave, "x")
		w.wantUsed("b")
	})
}

func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.servers[0].freeze()
		w.open(proxy.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if w.Settle(ctx) || ctx.Err() == nil {
			t.Error("settled on a server that does not answer")
		}
		if w.Settle(t.Context()) {
			t.Error("settled on a server that does not answer")
		}
		(<-w.begin(wire.OpGet, "x")).want(t, wire.Disconnected, 0)
		w.servers[0].thaw()
		time.Sleep(proxy.DefaultRetry)
		w.want(wire.NotOK, wire.OpGet, "x")
	})
}

func TestClose(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		w.servers[0].freeze()
		var under []<-chan outcome
		for _, op := range allOps {
			under = append(under, w.begin(op, "x"))
		}
		w.Close()
		for _, o := range under {
			(<-o).want(t, wire.Disconnected, 0)
		}
		for _, op := range allOps {
			w.want(wire.Disconnected, op, "x")
		}
		w.Close()
	})
}

func TestBadConfig(t *testing.T) {
	s := newFake(t, "a", nil).server()
	for _, cfg := range []proxy.Config{
		{},
		{Servers: []proxy.Server{{Name: "x"}}},
		{Servers: []proxy.Server{s}, Timeout: -1},
		{Servers: []proxy.Server{s}, Retry: -1},
		{Servers: []proxy.Server{s}, MaxInFlight: -1},
	} {
		if p, err := proxy.New(cfg); err == nil {
			p.Close()
			t.Errorf("no error for %+v", cfg)
		}
	}
}
