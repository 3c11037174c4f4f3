package snoop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/snoop"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// lines is an output that can be read while it is written.
type lines struct{ testutil.Buffer }

// An event is one line of JSON output.
type event struct {
	Event    string
	Conn     uint64
	ToServer int64 `json:"to_server_bytes"`
	ToClient int64 `json:"to_client_bytes"`
	exchangeEvent
	endEvent
	summaryEvent
}

// exchangeEvent has the fields of request, answer and malformed.
type exchangeEvent struct {
	Direction, Op, ID, Status, Rule string
	UID, Offset                     uint64
	Asked                           bool
	LatencyUS                       int64 `json:"latency_us"`
}

// endEvent has the fields of failed and close.
type endEvent struct {
	Reason     string
	Undecoded  int64 `json:"undecoded_bytes"`
	Unanswered int
}

// summaryEvent has the fields of summary and dropped.
type summaryEvent struct {
	Refused, Connections, Lines uint64
	LinesDropped                uint64 `json:"lines_dropped"`
	Ops                         map[string]struct{ Requests, Answers uint64 }
}

// count is the number of events of one kind.
func (l *lines) count(kind string) int {
	return strings.Count(l.String(), `"event":"`+kind+`"`)
}

func (l *lines) events(t testing.TB) (events []event) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		events = append(events, e)
	}
	return events
}

// only returns the events of one kind.
func only(events []event, kind string) (some []event) {
	for _, e := range events {
		if e.Event == kind {
			some = append(some, e)
		}
	}
	return some
}

// A snooper is a Snooper under test, with one listener.
type snooper struct {
	t    testing.TB
	addr net.Addr
	out  *lines
	stop func() // ends the Snooper and waits for its end; may be called twice
}

// start snoops before the server on addr, with a listener of the given network. The output is JSON with a summary,
// written to out unless cfg has an Output.
func start(t testing.TB, network string, server net.Addr, cfg snoop.Config) *snooper {
	t.Helper()
	s := &snooper{t: t, out: new(lines)}
	cfg.Format, cfg.Stats = snoop.JSON, true
	if cfg.Output == nil {
		cfg.Output = s.out
	}
	cfg.Dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, server.Network(), server.String())
	}
	engine, err := snoop.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := testutil.Listen(t, network)
	s.addr = l.Addr()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := engine.Run(ctx, l); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	s.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(s.stop)
	return s
}

func (s *snooper) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial(s.addr.Network(), s.addr.String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testutil.Patience))
	return c
}

// wait waits until there are n events of a kind, and returns all events.
func (s *snooper) wait(kind string, n int) []event {
	s.t.Helper()
	testutil.Eventually(s.t, fmt.Sprintf("%d lines of %s", n, kind), func() bool { return s.out.count(kind) >= n })
	return s.out.events(s.t)
}

// cache runs a server with sessions in memory.
func cache(t testing.TB, network string) net.Addr {
	t.Helper()
	store := store.NewMemory(0)
	s, err := server.New(server.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	l := testutil.Listen(t, network)
	testutil.Serve(t, l, s)
	t.Cleanup(func() { store.Close() })
	return l.Addr()
}

// serve calls handle for each connection. The test waits for all of them at its end.
func serve(t testing.TB, network string, handle func(net.Conn)) net.Addr {
	t.Helper()
	l := testutil.Listen(t, network)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(testutil.Patience))
			wg.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr()
}

func write(t testing.TB, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Error(err)
	}
}

func readAll(t testing.TB, c net.Conn) []byte {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return b
}

func closeWrite(t testing.TB, c net.Conn) {
	t.Helper()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
}
