package raftstore_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// A forger sends Raft requests to a node in the name of another.
type forger struct {
	*raft.NetworkTransport
	from raft.ServerID
}

// greeted opens connections that begin as those of the node with an ID do.
type greeted struct {
	net.Listener
	from, to, at string
}

func (g greeted) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	c, err := net.Dial("tcp", g.at)
	if err != nil {
		return nil, err
	}
	greeting := []byte{'R'}
	for _, s := range []string{g.from, "127.0.0.1:1", g.to} {
		greeting = append(append(greeting, byte(len(s))), s...)
	}
	_, err = c.Write(greeting)
	return c, err
}

func forge(t *testing.T, from, to *testcluster.Node) *forger {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: greeted{l, string(from.ID()), string(to.ID()), to.Config.Peer}, MaxPool: 1, Timeout: 5 * time.Second})
	t.Cleanup(func() { tr.Close() })
	return &forger{tr, raft.ServerID(from.ID())}
}

func (f *forger) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: 3, ID: []byte(f.from), Addr: []byte(f.from)}
}

// A member that has gone mad, or somebody who speaks for one, takes no other node with it: what can't be read is not
// stored, and what is committed is not replaced.
func TestForgedEntries(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	leader, followers := c.Leader(), c.Followers()
	for i := range 5 {
		add(t, leader.Store, i)
	}
	c.Agree()
	mad, victims := followers[0], []*testcluster.Node{leader, followers[1]}
	status := leader.Status()
	next, term := status.LastIndex+1, status.Term
	// after is a request to append one entry to the end of the log.
	after := func(e *raft.Log) *raft.AppendEntriesRequest {
		if e != nil {
			e.Term, e.Index = term, next+e.Index
		}
		return &raft.AppendEntriesRequest{Term: term, PrevLogEntry: next - 1, PrevLogTerm: term, Entries: []*raft.Log{e}}
	}
	for _, victim := range victims {
		f := forge(t, mad, victim)
		for name, req := range map[string]*raft.AppendEntriesRequest{
			"an entry that can't be read, in place of the first": {Term: term + 1000,
				Entries: []*raft.Log{{Index: 1, Term: term + 1000, Data: []byte("nonsense")}}},
			"the first entry once more, of another term": {Term: term + 1000,
				Entries: []*raft.Log{{Index: 1, Term: term + 1000, Type: raft.LogNoop}}},
			"an entry that can't be read":        after(&raft.Log{Data: []byte("nonsense")}),
			"an empty entry":                     after(&raft.Log{}),
			"no entry":                           after(nil),
			"a configuration that can't be read": after(&raft.Log{Type: raft.LogConfiguration, Data: []byte{0xc1}}),
			"a configuration without voters": after(&raft.Log{Type: raft.LogConfiguration,
				Data: raft.EncodeConfiguration(raft.Configuration{})}),
			"an entry of an unknown type": after(&raft.Log{Type: 17}),
			"an entry beyond a gap":       after(&raft.Log{Index: 1, Type: raft.LogNoop}),
			"the greatest term":           {Term: 1<<64 - 1},
		} {
			req.RPCHeader = f.header()
			var resp raft.AppendEntriesResponse
			err := f.AppendEntries("", "", req, &resp)
			if err == nil && resp.Success {
				t.Errorf("%s: taken by %s", name, victim.Config.Name)
			}
			if err != nil && !strings.Contains(err.Error(), "is not what a leader") {
				t.Errorf("%s: %v", name, err)
			}
		}
		var resp raft.InstallSnapshotResponse
		for name, req := range map[string]*raft.InstallSnapshotRequest{
			"a snapshot of what was long ago": {SnapshotVersion: 1, Term: term, LastLogIndex: 1, LastLogTerm: 1},
			"a snapshot that knows nobody":    {SnapshotVersion: 1, Term: term, LastLogIndex: next + 10, LastLogTerm: term, Configuration: []byte{0xc1}},
		} {
			req.RPCHeader, req.Size = f.header(), 3
			if err := f.InstallSnapshot("", "", req, &resp, strings.NewReader("abc")); err == nil && resp.Success {
				t.Errorf("%s: taken by %s", name, victim.Config.Name)
			}
		}
	}
	add(t, leader.Store, 10)
	for _, n := range c.Running() {
		if err := n.Err(); err != nil {
			t.Errorf("%s has ended: %v", n.Config.Name, err)
		}
	}
	c.Agree()
	if s := c.Leader().Status(); s.Term > term+1000 || s.Role != raftstore.RoleLeader {
		t.Errorf("the leader is a %s of term %d, from %d", s.Role, s.Term, term)
	}
}
