package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testlog"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// patience bounds a test's wait for what must happen; nothing is asserted on it.
const patience = time.Minute

// An instance is a server under test with one listener.
type instance struct {
	*server.Server
	addr net.Addr
	log  *testlog.Buffer
}

// networks are what start knows.
var networks = []string{"unix", "tcp", "loop"}

// start serves cfg on a unix socket or, for "tcp", on the loopback. "loop" is a unix socket whose first requests are
// the business of one goroutine, where there is such a thing: the store is made an AsyncStore for it.
func start(t testing.TB, network string, cfg server.Config) *instance {
	t.Helper()
	log := new(testlog.Buffer)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
	if cfg.Store == nil {
		m := store.NewMemory(0)
		t.Cleanup(func() { m.Close() })
		cfg.Store = m
	}
	if network == "loop" {
		network, cfg.Store = "unix", starting{cfg.Store}
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil && !errors.Is(err, server.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return &instance{s, l.Addr(), log}
}

// starting makes any store an AsyncStore.
type starting struct{ store.Store }

func (s starting) Start(asked *store.Request, deadline time.Time, done store.Completion) {
	r := *asked
	r.ID, r.Data = bytes.Clone(r.ID), bytes.Clone(r.Data)
	go func() {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		done.Done(store.Do(ctx, s.Store, &r))
	}()
}

// A client speaks the protocol as plainly as can be.
type client struct {
	t testing.TB
	net.Conn
	r *wire.Reader
}

func (i *instance) dial(t testing.TB) *client {
	t.Helper()
	nc, err := net.Dial(i.addr.Network(), i.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { nc.Close() })
	return &client{t, nc, wire.NewReader(nc, wire.Responses)}
}

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) send(uid uint32, op wire.Op, payload []byte) {
	c.t.Helper()
	c.write(request(uid, op, payload))
}

func (c *client) recv() wire.Message {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience)) // which is for one answer, not for all that the test asks
	var m wire.Message
	if err := c.r.Read(&m); err != nil {
		c.t.Fatalf("reading an answer: %v", err)
	}
	return m
}

// ask sends a request and returns its answer's payload.
func (c *client) ask(op wire.Op, payload []byte) []byte {
	c.t.Helper()
	c.send(7, op, payload)
	m := c.recv()
	if m.UID != 7 || m.Op != op {
		c.t.Fatalf("answer to uid %d op %v, asked 7 %v", m.UID, m.Op, op)
	}
	return m.Payload
}

// want asks and fails the test unless the answer is that status.
func (c *client) want(status wire.Status, op wire.Op, payload []byte) {
	c.t.Helper()
	if got := c.ask(op, payload); len(got) != 1 || wire.Status(got[0]) != status {
		c.t.Fatalf("%v: %d bytes %.8x, want status %v", op, len(got), got, status)
	}
}

// wantClosed fails the test unless the server closes the connection without a further answer.
func (c *client) wantClosed() {
	c.t.Helper()
	var m wire.Message
	err := c.r.Read(&m)
	var timeout net.Error
	if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("connection still open: %v", err)
	}
}

func request(uid uint32, op wire.Op, payload []byte) []byte {
	return wire.AppendMessage(nil, &wire.Message{UID: uid, Op: op, Payload: payload})
}

func add(id, data string, timeout time.Duration) []byte {
	return wire.AppendAdd(nil, []byte(id), []byte(data), timeout)
}

// gateStore is a store whose calls wait until the test lets them go; none answers from memory by its own account.
type gateStore struct {
	store.Store
	deaf    bool                // calls don't heed their context
	entered chan string         // ids, as their calls begin
	gates   map[string]chan int // a call with such an id waits for its gate
}

func newGateStore(t testing.TB, gated ...string) *gateStore {
	m := store.NewMemory(0)
	t.Cleanup(func() { m.Close() })
	g := &gateStore{Store: m, entered: make(chan string, 10000), gates: make(map[string]chan int)}
	for _, id := range gated {
		g.gates[id] = make(chan int)
	}
	return g
}

func (g *gateStore) pass(ctx context.Context, id []byte) error {
	g.entered <- string(id)
	gate := g.gates[string(id)]
	if gate == nil {
		return nil
	}
	if g.deaf {
		<-gate
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gateStore) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	if err := g.pass(ctx, id); err != nil {
		return err
	}
	return g.Store.Add(ctx, id, data, timeout)
}

func (g *gateStore) Get(ctx context.Context, id []byte) ([]byte, error) {
	if err := g.pass(ctx, id); err != nil {
		return nil, err
	}
	return g.Store.Get(ctx, id)
}

func (g *gateStore) Remove(ctx context.Context, id []byte) error {
	if err := g.pass(ctx, id); err != nil {
		return err
	}
	return g.Store.Remove(ctx, id)
}

func (g *gateStore) Have(ctx context.Context, id []byte) error {
	if err := g.pass(ctx, id); err != nil {
		return err
	}
	return g.Store.Have(ctx, id)
}

var _ io.Closer = (*store.Memory)(nil)
