package peernet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/internal/testlog"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/wire"
)

var discard = slog.New(slog.DiscardHandler)

// listen opens a peer port on the loopback.
func listen(t *testing.T, serve func(net.Conn)) *Mux {
	t.Helper()
	m, err := open(TCP{}, "127.0.0.1:0", discard, serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func refuseAll(c net.Conn) { c.Close() }

// open opens a peer port without security.
func open(network Network, address string, log *slog.Logger, serve func(net.Conn)) (*Mux, error) {
	return Listen(address, Options{Network: network, Logger: log, Serve: func(c net.Conn, _, _ serverid.ID) { serve(c) }})
}

// dialPeer connects in the name of n2.
func dialPeer(ctx context.Context, network Network, to Peer) (net.Conn, error) {
	c, _, err := DialPeer(ctx, network, nil, "n2/00000001", to)
	return c, err
}

// layer starts a layer that knows no members.
func layer(m *Mux, self Peer) *Layer {
	l := m.Layer(self)
	l.Start(func(serverid.ID) bool { return false }, func() int64 { return 1 << 20 })
	return l
}

// echo sends back what it receives until the peer closes.
func echo(c net.Conn) {
	defer c.Close()
	_, _ = io.Copy(c, c)
}

func dialTo(t *testing.T, m *Mux, first ...byte) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", m.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write(first); err != nil {
		t.Fatal(err)
	}
	return c
}

// A client that connects to the peer port by mistake is told so, and the node logs it.
func TestClientIsToldWhereItIs(t *testing.T) {
	log := new(testlog.Buffer)
	m, err := open(TCP{}, "127.0.0.1:0", slog.New(slog.NewTextHandler(log, nil)), refuseAll)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	c := dialTo(t, m, wire.AppendMessage(nil, &wire.Message{UID: 7, Op: wire.OpHave})...)
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	var answer wire.Message
	r := wire.NewReader(c, wire.Responses)
	err = r.Read(&answer)
	if err != nil || answer.UID != 7 || answer.Op != wire.OpHave || string(answer.Payload) != wire.PeerPort {
		t.Errorf("answered %v %q, %v", answer.Op, answer.Payload, err)
	}
	if err := r.Read(&answer); !errors.Is(err, io.EOF) {
		t.Errorf("then %v", err)
	}
	if !strings.Contains(log.String(), "a client of the cache, which has to use the port for clients") {
		t.Errorf("logged %s", log)
	}
	// To a client, an answer of that length to a GET would be a session.
	closed(t, dialTo(t, m, wire.AppendMessage(nil, &wire.Message{Op: wire.OpGet, Payload: []byte("an id")})...))
	closed(t, dialTo(t, m, wire.AppendMessage(nil, &wire.Message{Op: wire.OpHave, Payload: []byte("an id")})...))
	if n := strings.Count(log.String(), "a client of the cache"); n != 3 {
		t.Errorf("%d clients are logged: %s", n, log)
	}
}

// closed waits until the other side has closed.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("read %d bytes, %v: the connection is open", n, err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func (m *Mux) open() int {
	m.places.mu.Lock()
	defer m.places.mu.Unlock()
	return len(m.places.conns)
}

// eventually waits until a condition holds that another goroutine brings about.
func eventually(t *testing.T, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to be")
		}
	}
}

func TestPeerRequests(t *testing.T) {
	m := listen(t, echo)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := dialPeer(ctx, TCP{}, Peer{Address: m.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
	eventually(t, func() bool { return m.open() == 0 })
}

func TestDialFails(t *testing.T) {
	m := listen(t, echo)
	address := m.Addr().String()
	m.Close()
	if c, err := dialPeer(context.Background(), TCP{}, Peer{Address: address}); err == nil {
		c.Close()
		t.Error("connected to a closed port")
	}
	if _, err := open(TCP{}, "no such address", discard, echo); err == nil {
		t.Error("listens on no address")
	}
}

func TestUnknownKind(t *testing.T) {
	m := listen(t, echo)
	for _, first := range []byte{0, 'G', 0x16, 0xff, 'r', 'P'} {
		closed(t, dialTo(t, m, first))
	}
	eventually(t, func() bool { return m.open() == 0 })
}

// pipes is a network of in-memory connections, for synctest's clock.
type pipes struct{ accepted chan net.Conn }

func (p pipes) Listen(string) (net.Listener, error) {
	return &pipeListener{p.accepted, make(chan struct{}), sync.Once{}}, nil
}

func (p pipes) Dial(context.Context, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.accepted <- theirs
	return ours, nil
}

type pipeListener struct {
	accepted chan net.Conn
	done     chan struct{}
	once     sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return address("pipe") }

// A connection without a greeting, or with nothing after its greeting, is closed after a while. After the first byte a
// connection may be idle for ever.
func TestFirstBytesHaveADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := pipes{make(chan net.Conn)}
		m, err := open(network, "", discard, echo)
		if err != nil {
			t.Fatal(err)
		}
		silent, _ := network.Dial(t.Context(), "")
		spoke, err := dialPeer(t.Context(), network, Peer{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := spoke.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := spoke.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		idle, err := dialPeer(t.Context(), network, Peer{})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		for _, c := range []net.Conn{silent, idle} {
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("got %v", err)
			}
			if d := time.Since(begun); d != kindLimit {
				t.Errorf("turned away after %v, want %v", d, kindLimit)
			}
		}
		time.Sleep(10 * kindLimit)
		go spoke.Write([]byte("x"))
		if _, err := spoke.Read(make([]byte, 1)); err != nil {
			t.Errorf("a connection that had said what it is for: %v", err)
		}
		if n := m.open(); n != 1 {
			t.Errorf("%d connections are kept", n)
		}
		m.Close()
	})
}

// After a temporary error of the listener, Accept is called again.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := pipes{make(chan net.Conn)}
		l, _ := network.Listen("")
		f := &flaky{Listener: l, left: 3}
		m, err := open(flakyNetwork{network, f}, "", discard, echo)
		if err != nil {
			t.Fatal(err)
		}
		c, err := dialPeer(t.Context(), network, Peer{})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		m.Close()
		if f.left != 0 {
			t.Errorf("%d failures are left", f.left)
		}
	})
}

type flakyNetwork struct {
	pipes
	l net.Listener
}

func (n flakyNetwork) Listen(string) (net.Listener, error) { return n.l, nil }

type flaky struct {
	net.Listener
	left int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.left > 0 {
		f.left--
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

// A Raft connection is accepted when it is for the running server, and not before that server runs. The connection
// works in both directions.
func TestRaftConnection(t *testing.T) {
	m := listen(t, refuseAll)
	closed(t, dialTo(t, m, forUs...)) // no layer at all
	l := layer(m, self)
	if l.Addr().String() != "node:1" || l.Addr().Network() != "tcp" {
		t.Errorf("address %v", l.Addr())
	}
	other := &Layer{mux: m, self: Peer{"n2/00000001", "node:2"}}
	out, err := other.Dial(target("n1/00000001", raft.ServerAddress(m.Addr().String())), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	sent := encoded(t, rpcTimeoutNow, &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ID: []byte(other.self.ID)}})
	out.Write(sent)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%q, %v", got, err)
	}
	if at, ok := l.LastSeen("n2/00000001"); !ok || at != "node:2" {
		t.Errorf("the other is at %q, %v", at, ok)
	}
	l.Close()
	l.Close()
	closed(t, out)
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept on a closed layer: %v", err)
	}
	_, err = l.Dial(target("n2/00000001", raft.ServerAddress(m.Addr().String())), 20*time.Second)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial on a closed layer: %v", err)
	}
	closed(t, dialTo(t, m, forUs...))
	// The next layer takes its place, for another server.
	next := layer(m, Peer{"n1/00000002", "node:1"})
	closed(t, dialTo(t, m, forUs...))
	dialTo(t, m, forServer(t, "n1/00000002")...)
	if _, err := next.Accept(); err != nil {
		t.Error(err)
	}
}

// No connection outlives its layer, whatever the order of events.
func TestLayerClosesWhileConnectionsCome(t *testing.T) {
	m := listen(t, refuseAll)
	for range 50 {
		l := layer(m, self)
		var wg sync.WaitGroup
		var dialed []net.Conn
		for range 4 {
			dialed = append(dialed, dialTo(t, m, forUs...))
		}
		wg.Go(func() {
			for {
				if _, err := l.Accept(); err != nil {
					return
				}
			}
		})
		wg.Go(func() { l.Close() })
		wg.Wait()
		for _, c := range dialed {
			closed(t, c)
		}
	}
	eventually(t, func() bool { return m.open() == 0 })
}

// A layer forgets closed connections.
func TestLayerForgets(t *testing.T) {
	m := listen(t, refuseAll)
	l := layer(m, self)
	for range 100 {
		dialTo(t, m, forUs...).Close()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) > 1 || m.open() != 0 {
		t.Errorf("%d connections are remembered, %d tracked", len(l.conns), m.open())
	}
}

// Close closes connections in every state, and waits until all calls of serve have returned.
func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	var serving sync.WaitGroup
	m := listen(t, func(c net.Conn) {
		serving.Add(1)
		defer serving.Done()
		echo(c)
	})
	l := layer(m, self)
	conns := []net.Conn{
		dialTo(t, m),           // has not said what it is for
		dialTo(t, m, kindPeer), // has not said whose it is
		dialTo(t, m, greetingFrom(t, "n2/00000001")...), // being served
		dialTo(t, m, forUs...),                          // waits for Accept
		dialTo(t, m, forUs...),                          // another
		dialTo(t, m, 'x', 0, 1),                         // turned away
	}
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	serving.Wait() // all have returned, since Close has
	if err := m.Close(); err != nil {
		t.Errorf("the second time: %v", err)
	}
	for _, c := range conns {
		closed(t, c)
	}
	if n := m.open(); n != 0 {
		t.Errorf("%d connections are tracked", n)
	}
	eventually(t, func() bool { return runtime.NumGoroutine() <= before })
}

// Connections can't flood the log.
func TestLogIsLimited(t *testing.T) {
	var log testlog.Buffer
	m, err := open(TCP{}, "127.0.0.1:0", slog.New(slog.NewTextHandler(&log, nil)), echo)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for range 200 {
		closed(t, dialTo(t, m, 'x'))
	}
	m.Close()
	if n := strings.Count(log.String(), "\n"); n == 0 || n > 100 {
		t.Errorf("%d lines about 200 connections", n)
	}
}

// self is the server under test.
var self = Peer{"n1/00000001", "node:1"}

// forUs is a greeting for the server under test.
var forUs = []byte("R\x0bn2/00000001\x06node:2\x0bn1/00000001")

// forServer is a greeting for any server.
func forServer(t *testing.T, id serverid.ID) []byte {
	t.Helper()
	b, err := greetingOf{kindRaft, Peer{"n2/00000001", "node:2"}, id}.bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A server refuses connections for another server that was at its address before, and for an earlier life of its own
// disk.
func TestAnotherServer(t *testing.T) {
	m := listen(t, echo)
	here := raft.ServerAddress(m.Addr().String())
	l := layer(m, Peer{"n1/00000001", string(here)})
	others := &Layer{mux: m, self: Peer{"n2/00000001", "node:2"}}
	for _, id := range []raft.ServerID{"n3/00000001", "", "n1", "n1/00000000", "n1/00000011"} {
		for _, from := range []*Layer{others, l} {
			c, err := from.Dial(target(id, here), 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			closed(t, c)
		}
		if id == "" {
			continue
		}
		c, err := dialPeer(t.Context(), TCP{}, Peer{serverid.ID(id), string(here)})
		if err != nil {
			t.Fatal(err)
		}
		closed(t, c)
	}
	closed(t, dialTo(t, m, kindRaft, maxID+1))
	closed(t, dialTo(t, m, append(forUs[:len(forUs)-12:len(forUs)-12], maxID+1)...))
	closed(t, dialTo(t, m, kindRaft, 0, 0, 0)) // IDs are not empty
	closed(t, dialTo(t, m, kindPeer, maxID+1))
	long := strings.Repeat("n", maxID+1)
	if _, err := others.Dial(target(raft.ServerID(long), here), 20*time.Second); err == nil {
		t.Error("an ID that is too long was sent")
	}
	if _, err := dialPeer(t.Context(), TCP{}, Peer{serverid.ID(long), string(here)}); err == nil {
		t.Error("an ID that is too long was sent")
	}
}

// A node that announces a new address is dialed there first, and then at its address in the configuration.
func TestSeen(t *testing.T) {
	m := listen(t, refuseAll)
	l := layer(m, self)
	others := &Layer{mux: m, self: Peer{"n2/00000001", "node:2"}}
	here := raft.ServerAddress(m.Addr().String())
	reached := func(address raft.ServerAddress) {
		t.Helper()
		c, err := others.Dial(target("n1/00000001", address), 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		in.Close()
	}
	others.Seen(Peer{"n1/00000001", string(here)})
	reached("127.0.0.1:1")
	others.Seen(Peer{"n1/00000001", "127.0.0.1:1"})
	reached(here)
	for i := range 3 * maxSeen {
		others.Seen(Peer{serverid.ID(fmt.Sprint(i)), "node:3"})
	}
	if n := len(others.seen); n > maxSeen {
		t.Errorf("%d nodes are remembered", n)
	}
}

// acked knows the highest acknowledged index of each node, in the leader's current term.
func TestAcked(t *testing.T) {
	var a acked
	a.note("n2/00000001", 3, 10)
	a.note("n2/00000001", 3, 7)
	a.note("n3/00000001", 3, 5)
	a.note("n2/00000001", 2, 99) // an answer from an earlier term
	for _, c := range []struct {
		id   serverid.ID
		term uint64
		want uint64
	}{{"n2/00000001", 3, 10}, {"n3/00000001", 3, 5}, {"n4/00000001", 3, 0}, {"n2/00000001", 2, 0}, {"n2/00000001", 4, 0}} {
		if got := a.of(c.id, c.term); got != c.want {
			t.Errorf("%s in term %d: %d, want %d", c.id, c.term, got, c.want)
		}
	}
	a.note("n3/00000001", 4, 1)
	if got := a.of("n2/00000001", 3); got != 0 {
		t.Errorf("of a term that is over: %d", got)
	}
	if got := acknowledged(&raft.AppendEntriesRequest{PrevLogEntry: 4}); got != 4 {
		t.Errorf("without entries: %d", got)
	}
	req := raft.AppendEntriesRequest{PrevLogEntry: 4, Entries: []*raft.Log{{Index: 5}, {Index: 6}}}
	if got := acknowledged(&req); got != 6 {
		t.Errorf("with entries: %d", got)
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add(forUs[1:])
	f.Add([]byte{0, 0, 0})
	f.Add([]byte{maxID + 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := readGreeting(bytes.NewReader(b), kindRaft)
		if err != nil {
			return
		}
		sent, err := g.bytes()
		if err != nil || !bytes.HasPrefix(b, sent[1:]) {
			t.Errorf("%x is %v, which is sent as %x, %v", b, g, sent, err)
		}
	})
}
