package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// Answers come as they are ready, not in the order of the requests.
func TestOutOfOrder(t *testing.T) {
	store := newGateStore(t, "slow")
	c := start(t, "unix", server.Config{Store: store}).dial(t)
	c.send(1, wire.OpHave, []byte("slow"))
	const n = 300
	for uid := range uint32(n) {
		c.send(uid+2, wire.OpHave, fmt.Appendf(nil, "id%d", uid))
	}
	seen := make(map[uint32]bool)
	for range n {
		m := c.recv()
		if m.UID < 2 || m.UID >= n+2 || seen[m.UID] {
			t.Fatalf("uid %d", m.UID)
		}
		seen[m.UID] = true
	}
	store.gates["slow"] <- 1
	if m := c.recv(); m.UID != 1 {
		t.Errorf("uid %d last", m.UID)
	}
}

// Requests for one id on one connection take effect in the order in which they were sent.
func TestSameIDInOrder(t *testing.T) {
	store := newGateStore(t, "a")
	c := start(t, "unix", server.Config{Store: store}).dial(t)
	c.send(1, wire.OpAdd, add("a", "one", time.Minute))
	c.send(2, wire.OpAdd, add("a", "two", time.Minute))
	c.send(3, wire.OpGet, []byte("a"))
	c.send(4, wire.OpRemove, []byte("a"))
	c.send(5, wire.OpGet, []byte("a"))
	c.send(6, wire.OpHave, []byte("b"))
	if m := c.recv(); m.UID != 6 {
		t.Errorf("uid %d overtook its turn", m.UID)
	}
	for i, want := range []string{"\x00", "\x65", "one", "\x00", "\x01"} {
		store.gates["a"] <- 1
		if m := c.recv(); m.UID != uint32(i+1) || string(m.Payload) != want {
			t.Errorf("answer %d: uid %d, %q, want %q", i+1, m.UID, m.Payload, want)
		}
	}
}

// The order holds also where one request is answered from memory and the one before it is not.
func TestSameIDInOrderAcrossPaths(t *testing.T) {
	store := promptGets{newGateStore(t, "a")}
	c := start(t, "unix", server.Config{Store: store}).dial(t)
	c.send(1, wire.OpAdd, add("a", "one", time.Minute))
	if id := <-store.entered; id != "a" {
		t.Fatal(id)
	}
	c.send(2, wire.OpGet, []byte("a"))
	c.send(3, wire.OpGet, []byte("b"))
	if m := c.recv(); m.UID != 3 {
		t.Errorf("uid %d overtook its turn", m.UID)
	}
	store.gates["a"] <- 1
	store.gates["a"] <- 1
	for _, want := range []string{"\x00", "one"} {
		if m := c.recv(); string(m.Payload) != want {
			t.Errorf("uid %d: %q, want %q", m.UID, m.Payload, want)
		}
	}
	c.send(4, wire.OpGet, []byte("a"))
	store.gates["a"] <- 1
	if m := c.recv(); string(m.Payload) != "one" {
		t.Errorf("%q", m.Payload)
	}
}

type promptGets struct{ *gateStore }

func (promptGets) NonBlocking(op store.Op) bool { return op == store.Get }

// Many requests for few ids, with a model of what each must say.
func TestOrderUnderLoad(t *testing.T) {
	m := store.NewMemory(0)
	defer m.Close()
	c := start(t, "unix", server.Config{Store: slowPath{m}}).dial(t)
	const n, ids = 5000, 7
	want := make([]wire.Status, n)
	var there [ids]bool
	go func() {
		for uid := range n {
			k := uid % ids
			id := fmt.Sprint("id", k)
			switch (uid / ids) % 4 {
			case 0, 1:
				c.Write(request(uint32(uid), wire.OpAdd, add(id, "data", time.Minute)))
			case 2:
				c.Write(request(uint32(uid), wire.OpHave, []byte(id)))
			case 3:
				c.Write(request(uint32(uid), wire.OpRemove, []byte(id)))
			}
		}
	}()
	for uid := range n {
		k := uid % ids
		switch (uid / ids) % 4 {
		case 0, 1:
			if there[k] {
				want[uid] = wire.MatchingSession
			}
			there[k] = true
		case 3:
			there[k] = false
		}
	}
	for range n {
		if m := c.recv(); wire.Status(m.Payload[0]) != want[m.UID] {
			t.Fatalf("uid %d: %v, want %v", m.UID, wire.Status(m.Payload[0]), want[m.UID])
		}
	}
}

// Past RequestTimeout the answer is Disconnected, whether the store heeds its context or not; a request that waited
// behind the stuck one is answered at its own time and never reaches the store.
func TestRequestTimeout(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		store := newGateStore(t, "stuck")
		store.deaf = deaf
		i := start(t, "unix", server.Config{Store: store, Limits: server.Limits{RequestTimeout: 50 * time.Millisecond}})
		c := i.dial(t)
		c.send(1, wire.OpHave, []byte("stuck"))
		c.send(2, wire.OpAdd, add("stuck", "data", time.Minute))
		for uid := range uint32(2) {
			if m := c.recv(); m.UID != uid+1 || wire.Status(m.Payload[0]) != wire.Disconnected {
				t.Errorf("uid %d: %v", m.UID, m.Payload)
			}
		}
		c.want(wire.NotOK, wire.OpHave, []byte("free"))
		if deaf {
			store.gates["stuck"] <- 1 // the first call returns, and must not be heard of
			eventually(t, "the second has been passed over", func() bool { return i.Stats().InFlight == 0 })
			var calls []string
			for len(store.entered) > 0 {
				calls = append(calls, <-store.entered)
			}
			if !slices.Equal(calls, []string{"stuck", "free"}) {
				t.Errorf("store calls %q", calls)
			}
		}
		c.want(wire.NotOK, wire.OpHave, []byte("free"))
		if s := i.Stats(); s.Answered(wire.OpHave, wire.Disconnected) != 1 || s.Answered(wire.OpAdd, wire.Disconnected) != 1 {
			t.Errorf("%+v", s.Answers)
		}
		if log := i.log.String(); log != "" {
			t.Errorf("logged: %s", log)
		}
	}
}

// A store sees the deadline that the request's arrival gives it, whichever way it is called.
func TestContext(t *testing.T) {
	for _, prompt := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			store := &contextStore{prompt: prompt}
			s, err := server.New(server.Config{Store: store, Limits: server.Limits{RequestTimeout: time.Second}})
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := net.Pipe()
			go s.ServeConn(theirs)
			c := &client{t, ours, wire.NewReader(ours, wire.Responses)}
			began := time.Now()
			c.want(wire.Disconnected, wire.OpHave, []byte("a"))
			if took := time.Since(began); took != time.Second {
				t.Errorf("answered after %v", took)
			}
			synctest.Wait() // the call may return after the answer
			if deadline, ok := store.ctx.Deadline(); !ok || !deadline.Equal(began.Add(time.Second)) {
				t.Errorf("deadline %v, %v", deadline.Sub(began), ok)
			}
			if err := store.ctx.Err(); err != context.DeadlineExceeded {
				t.Errorf("afterwards: %v", err)
			}
			if store.derived != context.DeadlineExceeded {
				t.Errorf("derived context: %v", store.derived)
			}
			c.want(wire.OK, wire.OpRemove, []byte("a"))
			if err := store.ctx.Err(); err != context.Canceled {
				t.Errorf("after a call in time: %v", err)
			}
			select {
			case <-store.ctx.Done():
			default:
				t.Error("not done after the call")
			}
			ours.Close()
			s.Close()
		})
	}
}

// contextStore keeps its calls' contexts; Have waits for them.
type contextStore struct {
	store.Store
	prompt  bool
	ctx     context.Context
	derived error
}

func (s *contextStore) NonBlocking(store.Op) bool { return s.prompt }

func (s *contextStore) Have(ctx context.Context, _ []byte) error {
	s.ctx = ctx
	derived, cancel := context.WithCancel(ctx)
	defer cancel()
	<-derived.Done()
	s.derived = derived.Err()
	return ctx.Err()
}

func (s *contextStore) Remove(ctx context.Context, _ []byte) error {
	s.ctx = ctx
	return ctx.Err()
}

// A connection with MaxInFlight requests open isn't read until one is answered.
func TestMaxInFlight(t *testing.T) {
	store := newGateStore(t, "a", "b", "c", "d")
	i := start(t, "unix", server.Config{Store: store, Limits: server.Limits{MaxInFlight: 2}})
	c := i.dial(t)
	for uid, id := range []string{"a", "b", "c", "d"} {
		c.send(uint32(uid), wire.OpHave, []byte(id))
	}
	open := []string{<-store.entered, <-store.entered}
	if slices.Sort(open); !slices.Equal(open, []string{"a", "b"}) {
		t.Fatalf("open: %q", open)
	}
	i.dial(t).want(wire.NotOK, wire.OpHave, []byte("x")) // another connection is not held up
	if id := <-store.entered; id != "x" {
		t.Errorf("%q was let in as the third", id)
	}
	if n := i.Stats().InFlight; n != 2 {
		t.Errorf("%d in flight", n)
	}
	for uid, id := range []string{"a", "b", "c", "d"} {
		store.gates[id] <- 1
		if m := c.recv(); m.UID != uint32(uid) {
			t.Errorf("uid %d, want %d", m.UID, uid)
		}
	}
}

// Past MaxRequests a request is answered Disconnected at once.
func TestMaxRequests(t *testing.T) {
	store := newGateStore(t, "a", "b")
	i := start(t, "unix", server.Config{Store: store, Limits: server.Limits{MaxRequests: 2}})
	c, other := i.dial(t), i.dial(t)
	c.send(1, wire.OpHave, []byte("a"))
	c.send(2, wire.OpHave, []byte("b"))
	<-store.entered
	<-store.entered
	other.want(wire.Disconnected, wire.OpHave, []byte("x"))
	if s := i.Stats(); s.Overloaded != 1 || s.InFlight != 2 {
		t.Errorf("%+v", s)
	}
	store.gates["a"] <- 1
	c.recv()
	eventually(t, "there is room", func() bool { return i.Stats().InFlight == 1 })
	other.want(wire.NotOK, wire.OpHave, []byte("x"))
	store.gates["b"] <- 1
	c.recv()
}

// Shutdown answers every request that has arrived, refuses new connections and closes the old ones.
func TestShutdown(t *testing.T) {
	for _, network := range networks {
		store := newGateStore(t, "a")
		i := start(t, network, server.Config{Store: store})
		idle := i.dial(t)
		idle.want(wire.NotOK, wire.OpHave, []byte("b"))
		<-store.entered
		var clients []*client
		const n = 20
		for range n {
			c := i.dial(t)
			c.send(1, wire.OpHave, []byte("a"))
			c.send(2, wire.OpAdd, add("a", "data", time.Minute)) // waits behind the first
			clients = append(clients, c)
		}
		for range n {
			<-store.entered
		}
		done := make(chan error)
		go func() { done <- i.Shutdown(context.Background()) }()
		idle.wantClosed()
		if nc, err := net.Dial(i.addr.Network(), i.addr.String()); err == nil {
			nc.Close()
			t.Error("the listener is open")
		}
		select {
		case err := <-done:
			t.Fatalf("Shutdown returned with requests open: %v", err)
		default:
		}
		for range 2 * n {
			store.gates["a"] <- 1
		}
		for _, c := range clients {
			for uid := range uint32(2) {
				if m := c.recv(); m.UID != uid+1 {
					t.Errorf("uid %d, want %d", m.UID, uid+1)
				}
			}
			c.wantClosed()
			c.Close()
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s := i.Stats(); s.Connections != 0 || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// A burst that is in the server's hands when Shutdown comes is answered to its end.
func TestShutdownAnswersBurst(t *testing.T) {
	i := start(t, "unix", server.Config{})
	var wg sync.WaitGroup
	const burst = 100
	for range 8 {
		c := i.dial(t)
		c.want(wire.NotOK, wire.OpHave, []byte("a"))
		var b []byte
		for uid := range uint32(burst) {
			b = append(b, request(uid, wire.OpHave, []byte("a"))...)
		}
		c.write(b) // in the kernel's hands, as a whole
		wg.Go(func() {
			for range burst {
				var m wire.Message
				if err := c.r.Read(&m); err != nil {
					t.Errorf("a request was dropped: %v", err)
					return
				}
			}
		})
	}
	if err := i.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// Shutdown gives up when its context does; Close ends the calls' contexts and waits for them. Both may be called again.
func TestShutdownBound(t *testing.T) {
	store := newGateStore(t, "a")
	i := start(t, "unix", server.Config{Store: store, Limits: server.Limits{RequestTimeout: time.Hour}})
	c := i.dial(t)
	c.send(1, wire.OpHave, []byte("a"))
	<-store.entered
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- i.Shutdown(ctx) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	c.wantClosed()
	for range 2 {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := i.Stats().InFlight; n != 0 {
		t.Errorf("%d calls after Close", n)
	}
	if err := i.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
