package server_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Each way to break the protocol closes that connection at once, after the answers that are due, with one line in the
// log; other connections don't notice.
func TestBadInput(t *testing.T) {
	full := "00110000 00 00000001 00 00 00 0800" + strings.Repeat("00", 2048)
	var random [100000]byte
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	random[0] = 0xff // that it is nothing by chance
	cases := []struct{ name, hex, rule string }{
		{"wrong version", "00100000", "version"},
		{"http", "474554202f", "version"},
		{"response", "00110000 01", "is_response"},
		{"class", "00110000 00 00000001 01", "op_class"},
		{"peer class", "00110000 00 00000001 70", "op_class"},
		{"operation", "00110000 00 00000001 00 04", "unknown operation"},
		{"complete", "00110000 00 00000001 00 00 02", "complete"},
		{"short incomplete", "00110000 00 00000001 00 00 00 0005", "incomplete frame"},
		{"long frame", "00110000 00 00000001 00 00 01 0801", "data_len"},
		{"mixed", full + "00110000 00 00000002", "interleave"},
		{"oversized", strings.Repeat(full, 16), "largest size"},
		{"short ADD", "00110000 00 00000001 00 00 01 0007 00000000000000", "ADD payload"},
		{"random", hex.EncodeToString(random[:]), "version"},
	}
	for _, network := range networks {
		for _, prompt := range []bool{true, false} {
			for _, x := range cases {
				t.Run(network+"/"+x.name, func(t *testing.T) {
					m := store.NewMemory(0)
					defer m.Close()
					cfg := server.Config{Store: m}
					if !prompt {
						cfg.Store = slowPath{m}
					}
					i := start(t, network, cfg)
					other := i.dial(t)
					other.want(wire.OK, wire.OpAdd, add("a", "hello", time.Minute))

					bad, err := hex.DecodeString(strings.ReplaceAll(x.hex, " ", ""))
					if err != nil {
						t.Fatal(err)
					}
					c := i.dial(t)
					c.write(append(request(9, wire.OpGet, []byte("a")), bad...))
					if m := c.recv(); m.UID != 9 || string(m.Payload) != "hello" {
						t.Errorf("the good request's answer: uid %d, %d bytes", m.UID, len(m.Payload))
					}
					c.wantClosed()
					c.Close()

					other.want(wire.OK, wire.OpHave, []byte("a"))
					eventually(t, "the bad connection is gone", func() bool { return i.Stats().Connections == 1 })
					log := i.log.String()
					if strings.Count(log, "\n") != 1 || !strings.Contains(log, x.rule) || !strings.Contains(log, "remote=") {
						t.Errorf("the log says %q, not %q", log, x.rule)
					}
					if n := i.Stats().Broken; n != 1 {
						t.Errorf("%d broken", n)
					}
				})
			}
		}
	}
}

// Many bad connections give few lines.
func TestBadInputLogIsLimited(t *testing.T) {
	i := start(t, "unix", server.Config{})
	for range 100 {
		c := i.dial(t)
		c.write([]byte{0xff})
		c.wantClosed()
		c.Close()
	}
	i.Close()
	if n := strings.Count(i.log.String(), "\n"); n == 0 || n > 50 {
		t.Errorf("%d lines for 100 connections", n)
	}
	if !strings.Contains(i.log.String(), "suppressed=") {
		t.Error("the log doesn't say that it was cut short")
	}
}

// A peer that stops in the middle of a message is dropped after MessageTimeout; one that stops between two isn't.
func TestStoppedMidMessage(t *testing.T) {
	i := start(t, "tcp", server.Config{Limits: server.Limits{MessageTimeout: 50 * time.Millisecond}})
	other := i.dial(t)
	other.want(wire.NotOK, wire.OpHave, []byte("a"))
	whole := request(1, wire.OpAdd, add("a", strings.Repeat("x", 5000), time.Minute))
	for _, n := range []int{1, 13, 14, 15, wire.HeaderSize + wire.MaxFrameData, len(whole) - 1} {
		c := i.dial(t)
		c.write(whole[:n])
		c.wantClosed()
	}
	if n := i.Stats().Stalled; n != 6 {
		t.Errorf("%d stalled", n)
	}
	if !strings.Contains(i.log.String(), "not finished in time") {
		t.Errorf("log: %s", i.log)
	}
	other.want(wire.NotOK, wire.OpHave, []byte("a"))
}

// A message may come in any pieces.
func TestByteByByte(t *testing.T) {
	c := start(t, "unix", server.Config{}).dial(t)
	for _, b := range request(3, wire.OpAdd, add("a", strings.Repeat("x", 2100), time.Minute)) {
		c.write([]byte{b})
	}
	if m := c.recv(); m.UID != 3 || !bytes.Equal(m.Payload, []byte{0}) {
		t.Errorf("%d, %x", m.UID, m.Payload)
	}
}

// A peer that never reads its answers is dropped after WriteTimeout, whether they come from memory or from workers, and
// keeps nobody else.
func TestNeverReads(t *testing.T) {
	for _, prompt := range []bool{true, false} {
		m := store.NewMemory(0)
		defer m.Close()
		cfg := server.Config{Store: m, Limits: server.Limits{WriteTimeout: 50 * time.Millisecond}}
		if !prompt {
			cfg.Store = slowPath{m}
		}
		i := start(t, "unix", cfg)
		other := i.dial(t)
		other.want(wire.OK, wire.OpAdd, add("a", strings.Repeat("x", 30000), time.Minute))
		c := i.dial(t)
		get := bytes.Repeat(request(1, wire.OpGet, []byte("a")), 1000)
		var err error
		for err == nil {
			_, err = c.Write(get)
		}
		if os.IsTimeout(err) {
			t.Fatal("the peer may write on and on")
		}
		if !strings.Contains(i.log.String(), "answers not taken") {
			t.Errorf("log: %s", i.log)
		}
		other.want(wire.OK, wire.OpHave, []byte("a"))
		eventually(t, "nothing is left of it", func() bool {
			s := i.Stats()
			return s.Connections == 1 && s.InFlight == 0 && s.Stalled == 1
		})
	}
}

// An idle peer is dropped after IdleTimeout, but not with a request open.
func TestIdle(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			store := newGateStore(t, "a")
			i := start(t, network, server.Config{Store: store, Limits: server.Limits{IdleTimeout: 50 * time.Millisecond}})
			busy := i.dial(t)
			busy.send(1, wire.OpHave, []byte("a"))
			<-store.entered
			idle := i.dial(t)
			idle.want(wire.NotOK, wire.OpHave, []byte("b"))
			idle.wantClosed()
			idle = i.dial(t)
			idle.wantClosed()
			if n := i.Stats().Idled; n != 2 {
				t.Errorf("%d idled", n)
			}
			store.gates["a"] <- 1
			if m := busy.recv(); m.UID != 1 {
				t.Errorf("uid %d", m.UID)
			}
			busy.wantClosed()
			if log := i.log.String(); log != "" {
				t.Errorf("logged: %s", log)
			}
		})
	}
}

// A peer that has said all it has to say still gets its answers.
func TestHalfClose(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			store := newGateStore(t, "a")
			i := start(t, network, server.Config{Store: store})
			c := i.dial(t)
			c.send(1, wire.OpHave, []byte("a"))
			c.send(2, wire.OpHave, []byte("b"))
			c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			if m := c.recv(); m.UID != 2 {
				t.Errorf("uid %d first", m.UID)
			}
			store.gates["a"] <- 1
			if m := c.recv(); m.UID != 1 {
				t.Errorf("uid %d second", m.UID)
			}
			c.wantClosed()
		})
	}
}

// A peer that goes away with requests in flight does no harm.
func TestGoneWithRequestsOpen(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			store := newGateStore(t, "a")
			i := start(t, network, server.Config{Store: store})
			for range 20 {
				c := i.dial(t)
				c.send(1, wire.OpHave, []byte("a"))
				<-store.entered
				c.Close()
			}
			for range 20 {
				store.gates["a"] <- 1
			}
			eventually(t, "all is given back", func() bool { s := i.Stats(); return s.Connections == 0 && s.InFlight == 0 })
			i.dial(t).want(wire.NotOK, wire.OpHave, []byte("b"))
		})
	}
}

// Past MaxConns a connection is closed at once; there is room again when one goes.
func TestMaxConns(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			i := start(t, network, server.Config{Limits: server.Limits{MaxConns: 2}})
			first, second := i.dial(t), i.dial(t)
			first.want(wire.NotOK, wire.OpHave, []byte("a"))
			second.want(wire.NotOK, wire.OpHave, []byte("a"))
			third := i.dial(t)
			third.wantClosed()
			if s := i.Stats(); s.Refused != 1 || s.Connections != 2 || !strings.Contains(i.log.String(), "limit=2") {
				t.Errorf("%+v; log: %s", s, i.log)
			}
			first.Close()
			eventually(t, "there is room", func() bool { return i.Stats().Connections == 1 })
			i.dial(t).want(wire.NotOK, wire.OpHave, []byte("a"))
		})
	}
}

// A failingListener has errors instead of connections.
type failingListener struct{ errs []error }

func (l *failingListener) Accept() (net.Conn, error) {
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}
func (*failingListener) Close() error   { return nil }
func (*failingListener) Addr() net.Addr { return &net.UnixAddr{Name: "failing", Net: "unix"} }

func emfile() error {
	return &net.OpError{Op: "accept", Net: "unix", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
}

// Clients that ask for much and take nothing have their connections closed when together they hold too much memory;
// those that take their answers notice nothing.
func TestMaxUntaken(t *testing.T) {
	m := store.NewMemory(0)
	t.Cleanup(func() { m.Close() })
	limits := server.Limits{MaxUntaken: 1 << 20, WriteTimeout: time.Hour, RequestTimeout: time.Hour}
	i := start(t, "unix", server.Config{Store: slowPath{m}, Limits: limits})
	good := i.dial(t)
	large := strings.Repeat("x", 32000)
	good.want(wire.OK, wire.OpAdd, add("large", large, time.Minute))
	for range 4 {
		i.dial(t).write(bytes.Repeat(request(1, wire.OpGet, []byte("large")), 512))
	}
	eventually(t, "connections that take nothing are closed", func() bool { return i.Stats().Stalled > 0 })
	for range 100 {
		if got := good.ask(wire.OpGet, []byte("large")); string(got) != large {
			t.Fatalf("%d bytes for an answer of %d", len(got), len(large))
		}
	}
	eventually(t, "answers not taken are within the limit", func() bool { return i.Stats().Untaken <= 1<<20 })
	if !strings.Contains(i.log.String(), "answers not taken") {
		t.Errorf("the log says %q", i.log)
	}
	i.Close()
	if n := i.Stats().Untaken; n != 0 {
		t.Errorf("%d bytes untaken with no connection left", n)
	}
}
