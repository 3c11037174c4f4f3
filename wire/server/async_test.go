package server_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// asyncStore is an AsyncStore over a store in memory: it ends requests when the test says so.
type asyncStore struct {
	store.Store
	t       *testing.T
	started chan *started
}

// A started is a request that has begun.
type started struct {
	op   store.Op
	id   string
	data []byte
	done store.Completion
}

func (s *asyncStore) Start(asked *store.Request, deadline time.Time, done store.Completion) {
	if time.Until(deadline) > time.Minute {
		s.t.Errorf("deadline in %v", time.Until(deadline))
	}
	r := &started{asked.Op, string(asked.ID), bytes.Clone(asked.Data), done}
	if r.id == "at once" {
		r.done.Done(store.Result{Err: wire.NotOK})
		return
	}
	s.started <- r
}

func startAsync(t *testing.T, network string, cfg server.Config) (*instance, *asyncStore) {
	m := store.NewMemory(0)
	t.Cleanup(func() { m.Close() })
	async := &asyncStore{m, t, make(chan *started, 10000)}
	cfg.Store = async
	return start(t, network, cfg), async
}

func TestAsync(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		i, async := startAsync(t, network, server.Config{})
		c := i.dial(t)
		c.want(wire.NotOK, wire.OpHave, []byte("at once"))

		c.send(1, wire.OpAdd, add("a", "some data", time.Minute))
		c.send(2, wire.OpGet, []byte("b"))
		a, b := <-async.started, <-async.started
		if a.op != store.Add || a.id != "a" || string(a.data) != "some data" {
			t.Errorf("began %+v", a)
		}
		lent := []byte("data of b")
		b.done.Done(store.Result{Data: lent})
		clear(lent)
		if m := c.recv(); m.UID != 2 || string(m.Payload) != "data of b" {
			t.Errorf("answer %d is %q", m.UID, m.Payload)
		}
		a.done.Done(store.Result{Err: wire.MatchingSession})
		if m := c.recv(); m.UID != 1 || !bytes.Equal(m.Payload, []byte{byte(wire.MatchingSession)}) {
			t.Errorf("answer %d is %q", m.UID, m.Payload)
		}
	}
}

// Requests for one id begin one after the other, also when the first one ends before the second has begun.
func TestAsyncOrder(t *testing.T) {
	i, async := startAsync(t, "unix", server.Config{})
	c := i.dial(t)
	for n := range 100 {
		c.send(uint32(n), wire.OpGet, []byte("same"))
	}
	for n := range 100 {
		r := <-async.started
		if len(async.started) > 0 {
			t.Fatal("two have begun")
		}
		r.done.Done(store.Result{Data: fmt.Append(nil, "answer ", n)})
		if m := c.recv(); m.UID != uint32(n) || string(m.Payload) != fmt.Sprint("answer ", n) {
			t.Fatalf("answer %d is %q", m.UID, m.Payload)
		}
	}
}

// A client that does not read holds nobody up, and has its answers when it does.
func TestAsyncSlowReader(t *testing.T) {
	i, async := startAsync(t, "unix", server.Config{Limits: server.Limits{RequestTimeout: patience}})
	slow, quick := i.dial(t), i.dial(t)
	const n = 64
	data := bytes.Repeat([]byte("0123456789abcdef"), wire.MaxPayload/16)
	for id := range n {
		slow.send(uint32(id), wire.OpGet, fmt.Append(nil, id))
	}
	var begun []*started
	for range n {
		begun = append(begun, <-async.started)
	}
	var wg sync.WaitGroup
	for _, r := range begun {
		if r.id == "7" {
			wg.Go(func() { r.done.Done(store.Result{Data: data}) })
		} else {
			r.done.Done(store.Result{Data: data})
		}
	}
	wg.Wait()
	quick.want(wire.NotOK, wire.OpHave, []byte("at once"))
	seen := make(map[uint32]bool)
	for range n {
		m := slow.recv()
		if !bytes.Equal(m.Payload, data) {
			t.Fatalf("answer %d, of %d bytes, is not what was said", m.UID, len(m.Payload))
		}
		seen[m.UID] = true
	}
	if len(seen) != n {
		t.Errorf("%d answers", len(seen))
	}
	eventually(t, "no answer waits to be taken", func() bool { return i.Stats().Untaken == 0 })
}

// The listener does not wait for an AsyncStore past the deadline, and what comes after that is dropped.
func TestAsyncLate(t *testing.T) {
	i, async := startAsync(t, "unix", server.Config{Limits: server.Limits{RequestTimeout: 20 * time.Millisecond}})
	c := i.dial(t)
	c.want(wire.Disconnected, wire.OpHave, []byte("a"))
	c.send(3, wire.OpHave, []byte("a")) // waits behind the first
	if m := c.recv(); m.UID != 3 || m.Payload[0] != byte(wire.Disconnected) {
		t.Errorf("answer %d is %x", m.UID, m.Payload)
	}
	(<-async.started).done.Done(store.Result{})
	c.want(wire.NotOK, wire.OpHave, []byte("at once"))
	if len(async.started) > 0 {
		t.Error("a request began that had been answered")
	}
}

// Closing does not wait for an AsyncStore, which may end its requests later.
func TestAsyncOutlivesServer(t *testing.T) {
	i, async := startAsync(t, "unix", server.Config{})
	c := i.dial(t)
	c.send(1, wire.OpHave, []byte("a"))
	c.send(2, wire.OpHave, []byte("a"))
	c.send(3, wire.OpHave, []byte("b"))
	a, b := <-async.started, <-async.started
	i.Close()
	c.wantClosed()
	a.done.Done(store.Result{})
	b.done.Done(store.Result{})
	if len(async.started) > 0 {
		t.Error("a request began after the end")
	}
	if n := i.Stats().InFlight; n != 0 {
		t.Errorf("%d in flight", n)
	}
}
