package snoop_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/snoop"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

var networks = []string{"unix", "tcp"}

func address(a net.Addr) string {
	if a.Network() == "unix" {
		return "UNIX:" + a.String()
	}
	return "IP:" + a.String()
}

func dialClient(t testing.TB, a net.Addr) *client.Client {
	t.Helper()
	c, err := client.Dial(address(a), client.WithTimeout(testutil.Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCacheBehindAndClientBefore(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			s := start(t, network, cache(t, network), snoop.Config{})
			c := dialClient(t, s.addr)
			ctx := t.Context()
			id, data := []byte("0123456789abcdef"), bytes.Repeat([]byte("x"), 20000)
			if err := c.Add(ctx, id, data, time.Minute); err != nil {
				t.Error(err)
			}
			if err := c.Add(ctx, id, data, time.Minute); err != wire.MatchingSession {
				t.Error(err)
			}
			if got, err := c.Get(ctx, id); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if err := c.Remove(ctx, id); err != nil {
				t.Error(err)
			}
			if err := c.Have(ctx, id); err != wire.NotOK {
				t.Error(err)
			}
			c.Close()
			events := s.wait("close", 1)
			want := []string{
				"open", "request ADD", "answer ADD OK", "request ADD", "answer ADD MATCHING_SESSION",
				"request GET", "answer GET OK", "request REMOVE", "answer REMOVE OK",
				"request HAVE", "answer HAVE NOTOK", "close",
			}
			var got []string
			for _, e := range events {
				text := e.Event
				if e.Op != "" {
					text += " " + e.Op
				}
				if e.Status != "" {
					text += " " + e.Status
				}
				if e.Op != "" && e.ID != "303132333435" || e.Conn != 1 ||
					e.Event == "answer" && (!e.Asked || e.LatencyUS < 0) {
					t.Errorf("%+v", e)
				}
				got = append(got, text)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if last := events[len(events)-1]; last.Reason != "by the client" {
				t.Errorf("closed %s", last.Reason)
			}
		})
	}
}

func TestHundredConnections(t *testing.T) {
	const conns, rounds = 100, 3
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			s := start(t, network, cache(t, "tcp"), snoop.Config{})
			var all, ready sync.WaitGroup
			ready.Add(conns)
			for i := range conns {
				c := dialClient(t, s.addr)
				all.Go(func() {
					id := fmt.Appendf(nil, "session %d", i)
					if err := c.Add(t.Context(), id, id, time.Minute); err != nil {
						t.Error(err)
					}
					ready.Done()
					ready.Wait() // all connections are open at once
					for range rounds {
						if got, err := c.Get(t.Context(), id); err != nil || !bytes.Equal(got, id) {
							t.Errorf("got %q, %v", got, err)
						}
					}
					c.Close()
				})
			}
			all.Wait()
			events := s.wait("close", conns)
			answers := only(events, "answer")
			for _, e := range answers {
				if !e.Asked || e.Status != "OK" {
					t.Errorf("%+v", e)
				}
			}
			if len(answers) != conns*(rounds+1) || len(only(events, "malformed")) > 0 {
				t.Errorf("%d answers", len(answers))
			}
			s.stop()
			sum := only(s.out.events(t), "summary")
			if len(sum) != 1 || sum[0].Connections != conns || sum[0].Ops["GET"].Answers != conns*rounds ||
				sum[0].Ops["ADD"].Requests != conns {
				t.Errorf("summary is %+v", sum)
			}
		})
	}
}

// TestGarbage sends bytes that are not the protocol both ways, and half-closes: the server answers only when it has all
// of the request.
func TestGarbage(t *testing.T) {
	const size = 300_000
	random := func(seed uint64) []byte {
		b, r := make([]byte, size), rand.New(rand.NewPCG(seed, 0))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		b[0] = 0xff
		return b
	}
	request, answer := random(1), random(2)
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			s := start(t, network, serve(t, network, func(c net.Conn) {
				if !bytes.Equal(readAll(t, c), request) {
					t.Error("the server got other bytes")
				}
				write(t, c, answer)
			}), snoop.Config{})
			c := s.dial()
			write(t, c, request)
			closeWrite(t, c)
			if !bytes.Equal(readAll(t, c), answer) {
				t.Error("the client got other bytes")
			}
			events := s.wait("close", 1)
			for _, e := range only(events, "malformed") {
				if e.Offset != 0 || e.Rule != wire.ErrVersion.Error() {
					t.Errorf("%+v", e)
				}
			}
			end := only(events, "close")[0]
			if len(only(events, "malformed")) != 2 || end.Undecoded != 2*size || end.ToServer != size ||
				end.ToClient != size || end.Reason != "by the client" {
				t.Errorf("%+v", events)
			}
		})
	}
}

// TestServerEndsFirst half-closes from the server's side: what the client sends after that still arrives.
func TestServerEndsFirst(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			got := make(chan []byte, 1)
			s := start(t, network, serve(t, network, func(c net.Conn) {
				closeWrite(t, c)
				got <- readAll(t, c)
			}), snoop.Config{})
			c := s.dial()
			if b := readAll(t, c); len(b) != 0 {
				t.Errorf("got %q", b)
			}
			write(t, c, []byte("still there"))
			c.Close()
			if b := <-got; string(b) != "still there" {
				t.Errorf("the server got %q", b)
			}
			if e := only(s.wait("close", 1), "close")[0]; e.Reason != "by the server" {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestNoServer(t *testing.T) {
	free, err := procs.FreeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := net.ResolveTCPAddr("tcp", free[0])
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "tcp", nobody, snoop.Config{})
	if b := readAll(t, s.dial()); len(b) != 0 {
		t.Errorf("got %q", b)
	}
	e := only(s.wait("failed", 1), "failed")[0]
	if e.Reason != "cannot connect to the server: connect: connection refused" {
		t.Errorf("%+v", e)
	}
}

// TestServerGone closes the server's connection while a request is under way.
func TestServerGone(t *testing.T) {
	ask := wire.AppendMessage(nil, &wire.Message{UID: 9, Op: wire.OpGet, Payload: []byte("id")})
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			s := start(t, network, serve(t, network, func(c net.Conn) {
				if _, err := io.ReadFull(c, make([]byte, len(ask))); err != nil {
					t.Error(err)
				}
			}), snoop.Config{})
			c := s.dial()
			write(t, c, ask)
			if b := readAll(t, c); len(b) != 0 {
				t.Errorf("got %q", b)
			}
			c.Close()
			if e := only(s.wait("close", 1), "close")[0]; e.Unanswered != 1 || e.Reason != "by the server" {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestResetIsPassedOn(t *testing.T) {
	failed := make(chan error, 1)
	s := start(t, "tcp", serve(t, "tcp", func(c net.Conn) {
		_, err := io.Copy(io.Discard, c)
		failed <- err
	}), snoop.Config{})
	c := s.dial()
	write(t, c, []byte{0})
	s.wait("open", 1)
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-failed; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server saw %v", err)
	}
	if e := only(s.wait("close", 1), "close")[0]; e.Reason != "reset by the client" {
		t.Errorf("%+v", e)
	}
}

// TestClientStopsReading has a client that goes away while the server keeps sending.
func TestClientStopsReading(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			ended := make(chan error, 1)
			s := start(t, network, serve(t, network, func(c net.Conn) {
				m := wire.Message{Response: true, Op: wire.OpGet, Payload: make([]byte, wire.MaxPayload)}
				b := wire.AppendMessage(nil, &m)
				for {
					if _, err := c.Write(b); err != nil {
						ended <- err
						return
					}
				}
			}), snoop.Config{})
			c := s.dial()
			if _, err := io.ReadFull(c, make([]byte, 1<<20)); err != nil {
				t.Error(err)
			}
			c.Close()
			if err := <-ended; errors.Is(err, context.DeadlineExceeded) {
				t.Error("the server never heard of it")
			}
			// The answers were whole when they were read, so none of them is malformed, although the client did not get
			// all.
			if bad := only(s.wait("close", 1), "malformed"); len(bad) > 0 {
				t.Errorf("%+v", bad)
			}
		})
	}
}

// TestSlowOutput passes traffic on while nobody reads the output.
func TestSlowOutput(t *testing.T) {
	const requests = 2000
	r, w := io.Pipe()
	s := start(t, "tcp", cache(t, "tcp"), snoop.Config{Output: w, MaxQueue: 10_000})
	c := dialClient(t, s.addr)
	for range requests {
		if err := c.Have(t.Context(), []byte("id")); err != wire.NotOK {
			t.Fatal(err)
		}
	}
	c.Close()
	read := make(chan struct{})
	go func() {
		io.Copy(s.out, r)
		close(read)
	}()
	s.stop()
	w.Close()
	<-read
	events := s.out.events(t)
	var dropped uint64
	for _, e := range only(events, "dropped") {
		dropped += e.Lines
	}
	sum := events[len(events)-1]
	got := 0
	for _, kind := range []string{"request", "answer", "open", "close"} {
		got += len(only(events, kind))
	}
	if dropped == 0 || uint64(got)+dropped != 2*requests+2 {
		t.Errorf("%d lines and %d dropped", got, dropped)
	}
	if sum.Event != "summary" || sum.LinesDropped != dropped || sum.Ops["HAVE"].Answers != requests {
		t.Errorf("summary is %+v", sum)
	}
}

func TestTooMany(t *testing.T) {
	s := start(t, "tcp", cache(t, "tcp"), snoop.Config{MaxConns: 1})
	c := dialClient(t, s.addr)
	if err := c.Have(t.Context(), []byte("id")); err != wire.NotOK {
		t.Error(err)
	}
	if b := readAll(t, s.dial()); len(b) != 0 {
		t.Errorf("got %q", b)
	}
	if err := c.Have(t.Context(), []byte("id")); err != wire.NotOK {
		t.Error(err)
	}
	s.stop()
	events := s.out.events(t)
	if sum := only(events, "summary"); len(sum) != 1 || sum[0].Refused != 1 || sum[0].Connections != 1 {
		t.Errorf("%+v", sum)
	}
	if e := only(events, "close"); len(e) != 1 || e[0].Reason != "as snooping ended" {
		t.Errorf("%+v", e)
	}
}

func TestIntervals(t *testing.T) {
	s := start(t, "tcp", cache(t, "tcp"), snoop.Config{Interval: time.Millisecond, Quiet: true})
	if err := dialClient(t, s.addr).Have(t.Context(), []byte("id")); err != wire.NotOK {
		t.Error(err)
	}
	s.wait("summary", 3)
	s.stop()
	var asked uint64
	events := s.out.events(t)
	for _, e := range events[:len(events)-1] {
		asked += e.Ops["HAVE"].Requests
	}
	if last := events[len(events)-1]; asked > 1 || last.Ops["HAVE"].Requests != 1 {
		t.Errorf("%d in the intervals, at the end %+v", asked, last)
	}
}
