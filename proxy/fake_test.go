package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/proxy"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// A fake is a server whose behaviour the test decides. It reads requests off its connections at all times, as a kernel
// does, and answers each when decide has returned.
type fake struct {
	name  string
	store store.Store
	// decide is called before each answer but those to pings, and may block. It says what to do with the request.
	decide func(op wire.Op, id []byte) verdict

	mu     sync.Mutex
	down   bool
	thawed chan struct{} // closed unless frozen
	conns  []*fakeConn
	dials  []time.Time
	asked  []wire.Op // what clients asked, pings and questions left out
	pings  int
	deafTo int // connections up to this one get no answers
	made   int // connections
}

// A verdict is what a fake does with a request.
type verdict int

const (
	serve  verdict = iota
	drop           // no answer, ever
	hang           // close the connection
	refuse         // DISCONNECTED
	twoBytes
	wrongOp
	garbage
)

type fakeConn struct {
	net.Conn
	n     int
	mu    sync.Mutex
	queue chan wire.Message
}

func newFake(t *testing.T, name string, store store.Store) *fake {
	f := &fake{name: name, store: store, thawed: make(chan struct{})}
	close(f.thawed)
	t.Cleanup(func() { f.thaw(); f.stop() })
	return f
}

func (f *fake) server() proxy.Server { return proxy.Server{Name: f.name, Dial: f.dial} }

var errRefused = errors.New("connection refused")

func (f *fake) dial(context.Context) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials = append(f.dials, time.Now())
	if f.down {
		return nil, errRefused
	}
	a, b := net.Pipe()
	f.made++
	c := &fakeConn{Conn: b, n: f.made, queue: make(chan wire.Message, 1<<16)}
	f.conns = append(f.conns, c)
	go c.read()
	go f.answer(c)
	return a, nil
}

func (c *fakeConn) read() {
	defer close(c.queue)
	r := wire.NewReader(c, wire.Requests)
	for {
		var m wire.Message
		if r.Read(&m) != nil {
			return
		}
		c.queue <- m
	}
}

func (f *fake) answer(c *fakeConn) {
	defer c.Close()
	for m := range c.queue {
		f.mu.Lock()
		thawed, decide, deaf := f.thawed, f.decide, c.n <= f.deafTo
		id, _, _, _ := parse(m)
		switch {
		case len(m.Payload) == 0:
			f.pings++
		case len(id) != questionLen:
			f.asked = append(f.asked, m.Op)
		}
		f.mu.Unlock()
		<-thawed
		switch {
		case deaf:
		case len(m.Payload) == 0:
			c.reply(m, []byte{byte(wire.NotOK)})
		case decide == nil:
			c.reply(m, f.carryOut(m))
		default:
			go f.follow(c, m, decide)
		}
	}
}

// questionLen is the length of the ids in the proxy's own questions. The tests use shorter ids.
const questionLen = 32

func (f *fake) follow(c *fakeConn, m wire.Message, decide func(wire.Op, []byte) verdict) {
	id, _, _, _ := parse(m)
	switch decide(m.Op, id) {
	case serve:
		c.reply(m, f.carryOut(m))
	case hang:
		c.Close()
	case refuse:
		c.reply(m, []byte{byte(wire.Disconnected)})
	case twoBytes:
		c.reply(m, []byte{0, 0})
	case wrongOp:
		m.Op ^= 1
		c.reply(m, []byte{0})
	case garbage:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.Write(bytes.Repeat([]byte("HTTP/1.1 "), 100))
	}
}

func (c *fakeConn) reply(m wire.Message, payload []byte) {
	m.Response, m.Payload = true, payload
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Write(wire.AppendMessage(nil, &m))
}

func parse(m wire.Message) (id, data []byte, timeout time.Duration, err error) {
	if m.Op == wire.OpAdd {
		return wire.ParseAdd(m.Payload)
	}
	return m.Payload, nil, 0, nil
}

func (f *fake) carryOut(m wire.Message) []byte {
	id, data, timeout, err := parse(m)
	if err == nil {
		request := store.Request{Op: store.Op(m.Op), ID: id, Data: data, Timeout: timeout}
		result := store.Do(context.Background(), f.store, &request)
		if m.Op == wire.OpGet && result.Err == nil {
			return result.Data
		}
		err = result.Err
	}
	status := wire.OK
	errors.As(err, &status)
	return []byte{byte(status)}
}

func (f *fake) set(decide func(op wire.Op, id []byte) verdict) {
	f.mu.Lock()
	f.decide = decide
	f.mu.Unlock()
}

// freeze acts as SIGSTOP: connections can be made, and nothing is answered.
func (f *fake) freeze() {
	f.mu.Lock()
	f.thawed = make(chan struct{})
	f.mu.Unlock()
}

func (f *fake) thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.thawed:
	default:
		close(f.thawed)
	}
}

// stop acts as SIGKILL.
func (f *fake) stop() {
	f.mu.Lock()
	f.down = true
	conns := f.conns
	f.conns = nil
	f.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

func (f *fake) start() {
	f.mu.Lock()
	f.down = false
	f.mu.Unlock()
}

// heard is what clients have asked the server since heard was last called.
func (f *fake) heard() []wire.Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

// brought is how many connections have been made to the server.
func (f *fake) brought() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.made
}

// A world is a proxy with its servers, which share one store as the nodes of a cluster do.
type world struct {
	*proxy.Proxy
	t       *testing.T
	servers []*fake
	store   *store.Memory
	log     *bytes.Buffer
}

// bubble runs a test on a clock of its own, in a world of n servers that are up.
func bubble(t *testing.T, n int, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, n)
		w.open(proxy.Config{})
		if !w.Settle(t.Context()) {
			t.Fatal("no server is used")
		}
		synctest.Wait()
		test(t, w)
	})
}

func newWorld(t *testing.T, n int) *world {
	w := &world{t: t, store: store.NewMemory(0), log: new(bytes.Buffer)}
	t.Cleanup(func() { w.store.Close() })
	for i := range n {
		w.servers = append(w.servers, newFake(t, string(rune('a'+i)), w.store))
	}
	return w
}

func (w *world) open(cfg proxy.Config) {
	w.t.Helper()
	for _, f := range w.servers {
		cfg.Servers = append(cfg.Servers, f.server())
	}
	cfg.Logger = slog.New(slog.NewTextHandler(w.log, nil))
	var err error
	if w.Proxy, err = proxy.New(cfg); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		w.Close()
		if w.t.Failed() {
			w.t.Log(w.log.String())
		}
	})
}

// used is the name of the server in use, empty if there is none.
func (w *world) used() string {
	for _, s := range w.Status().Servers {
		if s.Used {
			return s.Name
		}
	}
	return ""
}

func (w *world) wantUsed(name string) {
	w.t.Helper()
	if got := w.used(); got != name {
		w.t.Fatalf("server %q is used, want %q", got, name)
	}
}

// request makes one request as the listener does.
func (w *world) request(op wire.Op, id string) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), proxy.DefaultTimeout)
	defer cancel()
	data := []byte("data of " + id)
	r := store.Do(ctx, w, &store.Request{Op: store.Op(op), ID: []byte(id), Data: data, Timeout: time.Hour})
	if op == wire.OpGet && r.Err == nil && !bytes.Equal(r.Data, data) {
		return errors.New("wrong data")
	}
	return r.Err
}

func (w *world) want(want error, op wire.Op, id string) {
	w.t.Helper()
	if err := w.request(op, id); !errors.Is(err, want) {
		w.t.Errorf("%v %s: %v, want %v", op, id, err, want)
	}
}

// An outcome is how a request ended, and when.
type outcome struct {
	err  error
	took time.Duration
}

// begin makes a request in the background and returns when it is under way.
func (w *world) begin(op wire.Op, id string) <-chan outcome {
	done := make(chan outcome, 1)
	began := time.Now()
	go func() {
		err := w.request(op, id)
		done <- outcome{err, time.Since(began)}
	}()
	synctest.Wait()
	return done
}

func (o outcome) want(t *testing.T, err error, within time.Duration) {
	t.Helper()
	if !errors.Is(o.err, err) {
		t.Errorf("ended with %v, want %v", o.err, err)
	}
	if o.took > within {
		t.Errorf("took %v, more than %v", o.took, within)
	}
}

var allOps = []wire.Op{wire.OpAdd, wire.OpGet, wire.OpRemove, wire.OpHave}
