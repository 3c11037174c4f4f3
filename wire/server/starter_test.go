package server_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
)

// starterStore is a Starter over a store in memory: it ends requests when the test says so.
type starterStore struct {
	server.Store
	t       *testing.T
	started chan *started
}

// A started is a request that has begun.
type started struct {
	op   wire.Op
	id   string
	data []byte
	done server.Completion
}

func (s *starterStore) Start(op wire.Op, id, data []byte, timeout time.Duration, deadline time.Time, done server.Completion) {
	if time.Until(deadline) > time.Minute {
		s.t.Errorf("deadline in %v", time.Until(deadline))
	}
	r := &started{op, string(id), bytes.Clone(data), done}
	if r.id == "at once" {
		r.done.Done(nil, wire.NotOK)
		return
	}
	s.started <- r
}

func startStarter(t *testing.T, network string, cfg server.Config) (*instance, *starterStore) {
	m := server.NewMemory(0)
	t.Cleanup(func() { m.Close() })
	store := &starterStore{m, t, make(chan *started, 10000)}
	cfg.Store = store
	return start(t, network, cfg), store
}

func TestStarter(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		i, store := startStarter(t, network, server.Config{})
		c := i.dial(t)
		c.want(wire.NotOK, wire.OpHave, []byte("at once"))

		c.send(1, wire.OpAdd, add("a", "some data", time.Minute))
		c.send(2, wire.OpGet, []byte("b"))
		a, b := <-store.started, <-store.started
		if a.op != wire.OpAdd || a.id != "a" || string(a.data) != "some data" {
			t.Errorf("began %+v", a)
		}
		lent := []byte("data of b")
		b.done.Done(lent, nil)
		clear(lent)
		if m := c.recv(); m.UID != 2 || string(m.Payload) != "data of b" {
			t.Errorf("answer %d is %q", m.UID, m.Payload)
		}
		a.done.Done(nil, wire.MatchingSession)
		if m := c.recv(); m.UID != 1 || !bytes.Equal(m.Payload, []byte{byte(wire.MatchingSession)}) {
			t.Errorf("answer %d is %q", m.UID, m.Payload)
		}
	}
}

// Requests for one id begin one after the other, also when the first one ends before the second has begun.
func TestStarterOrder(t *testing.T) {
	i, store := startStarter(t, "unix", server.Config{})
	c := i.dial(t)
	for n := range 100 {
		c.send(uint32(n), wire.OpGet, []byte("same"))
	}
	for n := range 100 {
		r := <-store.started
		if len(store.started) > 0 {
			t.Fatal("two have begun")
		}
		r.done.Done(fmt.Append(nil, "answer ", n), nil)
		if m := c.recv(); m.UID != uint32(n) || string(m.Payload) != fmt.Sprint("answer ", n) {
			t.Fatalf("answer %d is %q", m.UID, m.Payload)
		}
	}
}

// A client that does not read holds nobody up, and has its answers when it does.
func TestStarterSlowReader(t *testing.T) {
	i, store := startStarter(t, "unix", server.Config{RequestTimeout: patience})
	slow, quick := i.dial(t), i.dial(t)
	const n = 64
	data := bytes.Repeat([]byte("0123456789abcdef"), wire.MaxPayload/16)
	for id := range n {
		slow.send(uint32(id), wire.OpGet, fmt.Append(nil, id))
	}
	var begun []*started
	for range n {
		begun = append(begun, <-store.started)
	}
	var wg sync.WaitGroup
	for _, r := range begun {
		if r.id == "7" {
			wg.Go(func() { r.done.Done(data, nil) })
		} else {
			r.done.Done(data, nil)
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

// The listener does not wait for a Starter past the deadline, and what comes after that is dropped.
func TestStarterLate(t *testing.T) {
	i, store := startStarter(t, "unix", server.Config{RequestTimeout: 20 * time.Millisecond})
	c := i.dial(t)
	c.want(wire.Disconnected, wire.OpHave, []byte("a"))
	c.send(3, wire.OpHave, []byte("a")) // waits behind the first
	if m := c.recv(); m.UID != 3 || m.Payload[0] != byte(wire.Disconnected) {
		t.Errorf("answer %d is %x", m.UID, m.Payload)
	}
	(<-store.started).done.Done(nil, nil)
	c.want(wire.NotOK, wire.OpHave, []byte("at once"))
	if len(store.started) > 0 {
		t.Error("a request began that had been answered")
	}
}

// Closing does not wait for a Starter, which may end its requests later.
func TestStarterOutlivesServer(t *testing.T) {
	i, store := startStarter(t, "unix", server.Config{})
	c := i.dial(t)
	c.send(1, wire.OpHave, []byte("a"))
	c.send(2, wire.OpHave, []byte("a"))
	c.send(3, wire.OpHave, []byte("b"))
	a, b := <-store.started, <-store.started
	i.Close()
	c.wantClosed()
	a.done.Done(nil, nil)
	b.done.Done(nil, nil)
	if len(store.started) > 0 {
		t.Error("a request began after the end")
	}
	if n := i.Stats().InFlight; n != 0 {
		t.Errorf("%d in flight", n)
	}
}
