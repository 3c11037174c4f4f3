package peernet

import (
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// greetingFrom is the greeting of a connection with peer requests.
func greetingFrom(t testing.TB, from serverid.ID) []byte {
	t.Helper()
	b, err := greetingOf{kind: kindPeer, from: Peer{ID: from}}.bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// isOpen tells whether the other end of a connection has it open. The other end sends nothing.
func isOpen(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := c.Read(make([]byte, 1))
	c.SetReadDeadline(time.Time{})
	return isTimeout(err)
}

// Whoever opens connections without end closes their own oldest ones, and nobody else's.
func TestManyConnections(t *testing.T) {
	for _, c := range []struct {
		name  string
		bound int
		from  func(i int) serverid.ID // empty: no greeting
	}{
		{"that never greet", maxGreeting, func(int) serverid.ID { return "" }},
		{"of one stranger", maxPerNode, func(int) serverid.ID { return "x/00000001" }},
		{"of many strangers", maxStrangers, func(i int) serverid.ID { return serverid.New("x", serverid.NewIncarnation()) }},
		{"of one member", maxPerNode, func(int) serverid.ID { return "n3/00000003" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := pipes{make(chan net.Conn)}
				m, err := Listen("", Options{Network: network, Logger: discard,
					Serve: func(c net.Conn, _, _ serverid.ID) { defer c.Close(); io.Copy(io.Discard, c) }})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				l := m.Layer(Peer{"n1/00000001", "node:1"})
				l.Start(func(id serverid.ID) bool { return id.Name() != "x" }, func() int64 { return 0 })
				open := func(from serverid.ID) net.Conn {
					nc, err := network.Dial(t.Context(), "")
					if err != nil {
						t.Fatal(err)
					}
					if from != "" {
						if _, err := nc.Write(append(greetingFrom(t, from), 0)); err != nil {
							t.Fatal(err)
						}
					}
					synctest.Wait()
					return nc
				}
				member := open("n2/00000002")
				var conns []net.Conn
				for i := range c.bound + 5 {
					conns = append(conns, open(c.from(i)))
				}
				if !isOpen(member) {
					t.Error("a member's connection was closed")
				}
				for i, nc := range conns {
					if is, want := isOpen(nc), i >= 5; is != want {
						t.Fatalf("connection %d of %d: open %v, want %v", i, len(conns), is, want)
					}
				}
				late := open("n2/00000002")
				if !isOpen(late) {
					t.Error("a member can't connect")
				}
				for _, nc := range append(slices.Clone(conns), member, late) {
					nc.Close()
				}
			})
		})
	}
}
