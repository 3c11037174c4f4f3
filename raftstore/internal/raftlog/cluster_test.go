package raftlog

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A member is a node of a Raft cluster with a log on a disk that can hang.
type member struct {
	id      raft.ServerID
	address raft.ServerAddress
	disk    *slowDisk
	raft    *raft.Raft
	send    *peernet.Transport
}

// campaign makes the node a candidate.
func (m *member) campaign(t *testing.T) {
	t.Helper()
	if err := m.send.Campaign(); err != nil {
		t.Fatal(err)
	}
}

// A slowDisk is a log whose writes wait while it hangs.
type slowDisk struct {
	memoryLog
	hanging sync.RWMutex
}

// hang makes writes wait until resume is called, or the test has failed.
func (d *slowDisk) hang(t *testing.T) (resume func()) {
	d.hanging.Lock()
	resume = sync.OnceFunc(d.hanging.Unlock)
	t.Cleanup(resume)
	return resume
}

func (d *slowDisk) StoreLog(e *raft.Log) error { return d.StoreLogs([]*raft.Log{e}) }

func (d *slowDisk) StoreLogs(es []*raft.Log) error {
	d.hanging.RLock()
	defer d.hanging.RUnlock()
	return d.memoryLog.StoreLogs(es)
}

// listener is Raft's stream layer on a TCP port.
type listener struct{ net.Listener }

func (listener) Dial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	_, address, _ := strings.Cut(string(target), "=")
	return net.DialTimeout("tcp", address, timeout)
}

type nothing struct{}

func (nothing) Apply(l *raft.Log) any               { return string(l.Data) }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, io.EOF }
func (nothing) Restore(r io.ReadCloser) error       { return r.Close() }

// start makes a cluster of n and waits until the first leads.
func start(t *testing.T, n int) []*member {
	t.Helper()
	var members []*member
	var servers []raft.Server
	for i := range n {
		m := newMember(t, raft.ServerID(rune('a'+i)))
		members = append(members, m)
		servers = append(servers, raft.Server{ID: m.id, Address: m.address})
	}
	if err := members[0].raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
		t.Fatal(err)
	}
	members[0].campaign(t)
	eventually(t, "the first leads", func() bool { return members[0].raft.State() == raft.Leader })
	if err := members[0].raft.Barrier(0).Error(); err != nil {
		t.Fatal(err)
	}
	return members
}

func newMember(t *testing.T, id raft.ServerID) *member {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &member{id: id, address: raft.ServerAddress(l.Addr().String()), disk: &slowDisk{memoryLog: newMemoryLog()}}
	cfg := raft.DefaultConfig()
	cfg.LocalID = id
	cfg.LogOutput = io.Discard
	// Only the first node, which is told to, becomes a candidate. It stays the leader however slow the machine is.
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = time.Hour, time.Hour, time.Hour
	log := over(t, m.disk, Options{Self: serverid.ID(id)})
	network := raft.NewNetworkTransport(listener{l}, 2, 5*time.Second, io.Discard)
	m.send = peernet.NewTransport(id, network, peernet.Hooks{Durable: log.WaitDurable})
	m.raft, err = raft.NewRaft(cfg, nothing{}, log, log, raft.NewInmemSnapshotStore(), m.send)
	if err != nil {
		t.Fatal(err)
	}
	log.Started(func() bool {
		return m.raft.State() == raft.Leader && len(m.raft.GetConfiguration().Configuration().Servers) >= 2
	})
	m.send.Start()
	t.Cleanup(func() {
		if err := m.raft.Shutdown().Error(); err != nil {
			t.Error(err)
		}
		m.send.Close()
	})
	return m
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not after 30s: %s", what)
		}
	}
}

func (m *member) last() uint64 {
	last, _ := m.disk.LastIndex()
	return last
}

// TestUnsyncedLeader: while the leader's disk hangs, the others get the entries. The leader's unsynced copy must not
// count towards a majority.
func TestUnsyncedLeader(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		members := start(t, n)
		leader := members[0]
		// With a few entries before, Raft sends without waiting for answers; otherwise it waits for each answer.
		for warm := range 2 {
			resume := leader.disk.hang(t)
			before := leader.last()
			var futures []raft.ApplyFuture
			for range 3 {
				futures = append(futures, leader.raft.Apply([]byte("x"), 0))
			}
			want := before + 3
			// Where Raft waits for each answer, the others get the next entries only when the first are on the leader's
			// disk.
			eventually(t, "the others have the first of the entries", func() bool {
				for _, m := range members[1:] {
					if m.last() <= before {
						return false
					}
				}
				return true
			})
			// Raft learns that the entries are durable from the others' answers, which arrive with the next entries.
			if err := leader.raft.VerifyLeader().Error(); err != nil {
				t.Fatal(err)
			}
			if c := leader.raft.CommitIndex(); c > before {
				t.Errorf("%d nodes, round %d: entry %d is committed, and the leader has %d on disk", n, warm, c, before)
			}
			resume()
			for _, f := range futures {
				if err := f.Error(); err != nil {
					t.Error(err)
				}
			}
			if leader.last() < want {
				t.Errorf("%d nodes: acknowledged, and not on the leader's disk", n)
			}
		}
	}
}

// TestUnsyncedOthers: the leader's copy alone commits nothing.
func TestUnsyncedOthers(t *testing.T) {
	members := start(t, 3)
	leader := members[0]
	resume := []func(){members[1].disk.hang(t), members[2].disk.hang(t)}
	f := leader.raft.Apply([]byte("x"), 0)
	eventually(t, "the leader has it", func() bool { return leader.last() >= 4 })
	if c := leader.raft.CommitIndex(); c >= leader.last() {
		t.Errorf("entry %d is committed", c)
	}
	for _, r := range resume {
		r()
	}
	if err := f.Error(); err != nil {
		t.Error(err)
	}
}

// TestLastVoterSyncs: a leader of two voters becomes the sole voter while it has unsynced entries. That must not commit
// them.
func TestLastVoterSyncs(t *testing.T) {
	members := start(t, 2)
	leader := members[0]
	resume := leader.disk.hang(t)
	before := leader.last()
	applied := leader.raft.Apply([]byte("x"), 0)
	removed := leader.raft.RemoveServer(members[1].id, 0, 0)
	eventually(t, "the other has the entry", func() bool { return members[1].last() > before })
	if c := leader.raft.CommitIndex(); c > before {
		t.Errorf("entry %d is committed, and the leader has %d on disk", c, before)
	}
	resume()
	if applied.Error() != nil || removed.Error() != nil {
		t.Fatal(applied.Error(), removed.Error())
	}
	// A sole voter syncs each entry before the entry is committed.
	resume = leader.disk.hang(t)
	before = leader.last()
	applied = leader.raft.Apply([]byte("y"), 0)
	if c := leader.raft.CommitIndex(); c > before {
		t.Errorf("alone: entry %d is committed, and %d is on disk", c, before)
	}
	resume()
	if err := applied.Error(); err != nil || leader.last() <= before {
		t.Errorf("alone: on disk is %d, %v", leader.last(), err)
	}
}
