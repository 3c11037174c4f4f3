package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testlog"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// Every operation and status that the protocol has, over both networks, from memory and by workers.
func TestOperations(t *testing.T) {
	for _, network := range networks {
		for _, prompt := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/prompt=%v", network, prompt), func(t *testing.T) {
				m := store.NewMemory(0)
				defer m.Close()
				cfg := server.Config{Store: m}
				if !prompt {
					cfg.Store = slowPath{m}
				}
				operations(t, start(t, network, cfg).dial(t))
			})
		}
	}
}

func operations(t *testing.T, c *client) {
	id32 := strings.Repeat("k", 32)
	largest := strings.Repeat("d", wire.MaxAddData)
	c.want(wire.NotOK, wire.OpHave, []byte("a"))
	c.want(wire.NotOK, wire.OpGet, []byte("a"))
	c.want(wire.NotOK, wire.OpRemove, []byte("a"))
	c.want(wire.OK, wire.OpAdd, add("a", "hello", time.Minute))
	c.want(wire.MatchingSession, wire.OpAdd, add("a", "hello", time.Minute))
	c.want(wire.MatchingSession, wire.OpAdd, add("a", "other", time.Minute))
	c.want(wire.OK, wire.OpHave, []byte("a"))
	if got := c.ask(wire.OpGet, []byte("a")); string(got) != "hello" {
		t.Errorf("GET gave %d bytes", len(got))
	}
	c.want(wire.OK, wire.OpRemove, []byte("a"))
	c.want(wire.NotOK, wire.OpRemove, []byte("a"))
	c.want(wire.NotOK, wire.OpGet, []byte("a"))

	c.want(wire.OK, wire.OpAdd, add(id32, largest, wire.MaxTimeout))
	if got := c.ask(wire.OpGet, []byte(id32)); string(got) != largest {
		t.Errorf("GET of the largest gave %d bytes", len(got))
	}
	c.want(wire.OK, wire.OpAdd, add(id32+id32, "d", time.Minute))
	if got := c.ask(wire.OpGet, []byte(id32+id32)); string(got) != "d" {
		t.Errorf("GET of one byte gave %d", len(got))
	}

	// Ranges.
	c.want(wire.TimeoutRange, wire.OpAdd, add("t", "data", wire.MaxTimeout+time.Millisecond))
	c.want(wire.OK, wire.OpAdd, add("0", "data", 0))
	c.want(wire.NotOK, wire.OpGet, []byte("0"))
	c.want(wire.OK, wire.OpAdd, add("0", "data", 0))
	c.want(wire.Corrupt, wire.OpAdd, addLen(4, "data"))
	c.want(wire.Corrupt, wire.OpAdd, addLen(1<<32-1, "data"))
	c.want(wire.IDRange, wire.OpAdd, add("", "data", time.Minute))
	c.want(wire.IDRange, wire.OpAdd, add(id32+id32+"k", "data", time.Minute))
	for _, op := range []wire.Op{wire.OpGet, wire.OpRemove, wire.OpHave} {
		c.want(wire.NotOK, op, nil)
		c.want(wire.NotOK, op, []byte(id32+id32+"k"))
		c.want(wire.NotOK, op, make([]byte, wire.MaxPayload))
	}
	c.want(wire.OK, wire.OpHave, []byte(id32))
}

// addLen is an ADD payload that claims an id of n bytes.
func addLen(n uint32, rest string) []byte {
	return append([]byte{0, 0, 0, 1, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, rest...)
}

// A session of 32768 bytes can't come by ADD, but a store may have one, and it fits an answer; one that doesn't is not
// sent.
func TestLargeAnswers(t *testing.T) {
	i := start(t, "unix", server.Config{Store: fixedStore{}})
	c := i.dial(t)
	if got := c.ask(wire.OpGet, []byte("32768")); len(got) != wire.MaxPayload {
		t.Errorf("%d bytes", len(got))
	}
	c.want(wire.Disconnected, wire.OpGet, []byte("32769"))
	c.want(wire.Disconnected, wire.OpGet, []byte("0"))
	if log := i.log.String(); !strings.Contains(log, "bytes=32769") {
		t.Errorf("nothing about it in the log: %s", log)
	}
}

// fixedStore answers a GET with as many bytes as the id says, and all else with the error of that name.
type fixedStore struct{}

var errSecretive = errors.New("disk on fire")

func (fixedStore) Get(_ context.Context, id []byte) ([]byte, error) {
	var n int
	_, err := fmt.Sscan(string(id), &n)
	return make([]byte, n), err
}
func (f fixedStore) Add(ctx context.Context, id, _ []byte, _ time.Duration) error {
	return f.Have(ctx, id)
}
func (f fixedStore) Remove(ctx context.Context, id []byte) error { return f.Have(ctx, id) }
func (fixedStore) Have(_ context.Context, id []byte) error {
	switch string(id) {
	case "wrapped":
		return fmt.Errorf("on the way: %w", wire.MatchingSession)
	case "canceled":
		return context.Canceled
	}
	return errSecretive
}

// A store's statuses are passed on; its other errors are Disconnected, and logged unless they are a context's.
func TestStoreErrors(t *testing.T) {
	i := start(t, "unix", server.Config{Store: fixedStore{}})
	c := i.dial(t)
	c.want(wire.MatchingSession, wire.OpHave, []byte("wrapped"))
	c.want(wire.Disconnected, wire.OpHave, []byte("canceled"))
	if log := i.log.String(); log != "" {
		t.Errorf("logged: %s", log)
	}
	for range 50 {
		c.want(wire.Disconnected, wire.OpRemove, []byte("any"))
	}
	c.want(wire.Disconnected, wire.OpAdd, add("any", "topsecret", time.Minute))
	log := i.log.String()
	if n := strings.Count(log, "disk on fire"); n == 0 || n > 30 {
		t.Errorf("%d lines about 51 failures", n)
	}
	i.Close()
	if log = i.log.String(); !strings.Contains(log, "suppressed=") {
		t.Error("the log doesn't say that it was cut short")
	}
	if strings.Contains(log, "topsecret") {
		t.Error("session data in the log")
	}
}

// An observer and Stats are told of each answer.
func TestStats(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]int)
	i := start(t, "unix", server.Config{Observe: func(op wire.Op, status wire.Status, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		seen[op.String()+" "+status.Name()]++
		if took < 0 {
			t.Errorf("took %v", took)
		}
	}})
	c := i.dial(t)
	c.want(wire.OK, wire.OpAdd, add("a", "hello", time.Minute))
	c.want(wire.MatchingSession, wire.OpAdd, add("a", "hello", time.Minute))
	c.ask(wire.OpGet, []byte("a"))
	c.want(wire.NotOK, wire.OpHave, []byte("b"))
	in, out := uint64(2*wire.Size(14)+2*wire.Size(1)), uint64(3*wire.Size(1)+wire.Size(5))
	eventually(t, "all answers' bytes are counted", func() bool { return i.Stats().BytesOut == out })
	s := i.Stats()
	if s.Requests() != 4 || s.Accepted != 1 || s.Connections != 1 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
	if s.Answered(wire.OpAdd, wire.MatchingSession) != 1 || s.Answered(wire.OpGet, wire.OK) != 1 || s.Answered(wire.OpRemove, wire.OK) != 0 {
		t.Errorf("%+v", s.Answers)
	}
	if s.BytesIn != in {
		t.Errorf("%d bytes in, want %d", s.BytesIn, in)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 4 || seen["ADD OK"] != 1 || seen["HAVE NOTOK"] != 1 {
		t.Errorf("observed %v", seen)
	}
}

// A timeout below MinTimeout is raised to it; one above is left.
func TestMinTimeout(t *testing.T) {
	store := &timeoutStore{Memory: store.NewMemory(0), got: make(chan time.Duration, 1)}
	defer store.Close()
	c := start(t, "unix", server.Config{Store: store, MinTimeout: time.Minute}).dial(t)
	for asked, want := range map[time.Duration]time.Duration{
		0: time.Minute, 999 * time.Millisecond: time.Minute, time.Minute: time.Minute, time.Hour: time.Hour, wire.MaxTimeout: wire.MaxTimeout,
	} {
		c.want(wire.OK, wire.OpAdd, add(asked.String(), "data", asked))
		if got := <-store.got; got != want {
			t.Errorf("asked for %v, stored for %v", asked, got)
		}
	}
	c.want(wire.TimeoutRange, wire.OpAdd, add("x", "data", wire.MaxTimeout+time.Millisecond))
}

type timeoutStore struct {
	*store.Memory
	got chan time.Duration
}

func (s *timeoutStore) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	s.got <- timeout
	return s.Memory.Add(ctx, id, data, timeout)
}

func TestBadConfig(t *testing.T) {
	m := store.NewMemory(0)
	defer m.Close()
	for want, cfg := range map[string]server.Config{
		"no store":       {},
		"RequestTimeout": {Store: m, Limits: server.Limits{RequestTimeout: -1}},
		"MinTimeout":     {Store: m, MinTimeout: wire.MaxTimeout + 1},
		"IdleTimeout":    {Store: m, Limits: server.Limits{IdleTimeout: -1}},
		"MaxInFlight":    {Store: m, Limits: server.Limits{MaxInFlight: -1}},
		"MaxConns":       {Store: m, Limits: server.Limits{MaxConns: -1}},
	} {
		if _, err := server.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Several listeners and a bare connection share one server.
func TestSeveralListeners(t *testing.T) {
	i := start(t, "unix", server.Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- i.Serve(l) }()
	ours, theirs := net.Pipe()
	go func() { served <- i.ServeConn(theirs) }()

	c := i.dial(t)
	c.want(wire.OK, wire.OpAdd, add("a", "hello", time.Minute))
	(&instance{i.Server, l.Addr(), i.log}).dial(t).want(wire.OK, wire.OpHave, []byte("a"))
	pipe := &client{t, ours, wire.NewReader(ours, wire.Responses)}
	pipe.want(wire.OK, wire.OpHave, []byte("a"))
	ours.Close()
	if err := <-served; err != nil {
		t.Errorf("ServeConn: %v", err)
	}
	i.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := i.Serve(l); err != server.ErrClosed {
		t.Errorf("Serve after Close: %v", err)
	}
	if err := i.ServeConn(theirs); err != server.ErrClosed {
		t.Errorf("ServeConn after Close: %v", err)
	}
}

// A listener's failure ends Serve, one that passes doesn't, and its end is no failure.
func TestAcceptErrors(t *testing.T) {
	m := store.NewMemory(0)
	defer m.Close()
	var log testlog.Buffer
	s, err := server.New(server.Config{Store: m, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := &failingListener{errs: []error{emfile(), emfile(), io.EOF}}
	if err := s.Serve(l); err != nil || len(l.errs) != 0 {
		t.Errorf("%v with %d errors to go", err, len(l.errs))
	}
	if n := strings.Count(log.String(), "cannot accept"); n != 2 {
		t.Errorf("%d lines about 2 failures", n)
	}
	broken := errors.New("broken")
	if err := s.Serve(&failingListener{errs: []error{broken}}); err != broken {
		t.Errorf("%v, want %v", err, broken)
	}
}

func TestProgress(t *testing.T) {
	i := start(t, "unix", server.Config{})
	c := i.dial(t)
	ctx, cancel := context.WithCancel(context.Background())
	var out testlog.Buffer
	done := make(chan error)
	go func() { done <- i.ReportProgress(ctx, &out, 3) }()
	n := 0
	eventually(t, "a line", func() bool { // the requests before the reporter is there are in its first line
		c.want(wire.OK, wire.OpAdd, add(fmt.Sprint(n), "data", time.Minute))
		n++
		return out.String() != ""
	})
	if line := out.String(); !regexp.MustCompile(`^operations (\d+) \(\+(\d+)\), sessions \d+ \(\+\d+\)\n`).MatchString(line) {
		t.Errorf("line %q", line)
	}
	if err := i.ReportProgress(ctx, io.Discard, 1); err == nil {
		t.Error("two reporters")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := i.ReportProgress(ctx, io.Discard, 0); err == nil {
		t.Error("progress every 0 requests")
	}
}
