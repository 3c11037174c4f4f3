package raftstore_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore/internal/peernet"
)

// A stranger is the network of a leader of some other cluster, which takes a node for one of its own.
type stranger struct{ net.Listener }

func (stranger) Dial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	to, address, _ := strings.Cut(string(target), "=")
	c, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return nil, err
	}
	greeting := []byte{'R', 5}
	greeting = append(greeting, "other"...)
	greeting = append(greeting, 0, byte(len(to)))
	if _, err := c.Write(append(greeting, to...)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// appendTo has the leader of another cluster, in a later term, write the beginning of its log to a node, for a server
// that it knows there.
func appendTo(t *testing.T, n *testcluster.Node, id raft.ServerID) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := peernet.NewTransport("other", raft.NewNetworkTransport(stranger{l}, 1, 5*time.Second, nil), peernet.Hooks{})
	defer transport.Close()
	self := raft.ServerAddress(l.Addr().String())
	servers := raft.Configuration{Servers: []raft.Server{
		{ID: "other", Address: self},
		{ID: id, Address: raft.ServerAddress(n.Config.Peer)},
	}}
	request := &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("other"), Addr: transport.EncodePeer("other", self)},
		Term:      100,
		Entries:   []*raft.Log{{Index: 1, Term: 100, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(servers)}},
	}
	return transport.AppendEntries(id, raft.ServerAddress(n.Config.Peer), request, &raft.AppendEntriesResponse{})
}

// A cluster may go on calling at the address of a member that was removed, or that came back with an empty directory
// and stands alone now: it must not take that node over.
func TestLoneNodeIsNotTakenOver(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	n := lone(t, c, "n1")
	c.Leader()
	add(t, n.Store, 1)
	for _, when := range []string{"new", "started again"} {
		for _, id := range []raft.ServerID{"", "n1", "n1/00000000", raft.ServerID(n.ID() + "0")} {
			if err := appendTo(t, n, id); err == nil {
				t.Fatalf("%s: another cluster's leader wrote to the log of a node that stands alone, as %q", when, id)
			}
		}
		if term := n.Status().Term; term >= 100 {
			t.Fatalf("%s: the node follows another cluster, in term %d", when, term)
		}
		found(t, n.Store, 1)
		n.Stop()
		n.Start()
		c.Leader()
	}
}

// A node that stood alone and took others in becomes one among them, whose leader may be another.
func TestLoneNodeFollowsWhomItTookIn(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	n1, n2 := lone(t, c, "n1"), lone(t, c, "n2")
	if err := n2.Join(ctxFor(t, patience), []string{n1.Config.Peer}, false); err != nil {
		t.Fatal(err)
	}
	n1.Voters("n1", "n2")
	lead(t, n2)
	add(t, n1.Store, 1)
	found(t, n2.Store, 1)
}
