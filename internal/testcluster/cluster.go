// Package testcluster runs a raftstore cluster inside a test. A test starts the nodes together or adds them one by one,
// stops and restarts them, cuts them off from each other, and compares their states.
package testcluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/raftstore"
)

// A Cluster is a set of nodes on one network.
type Cluster struct {
	t      testing.TB
	dir    string
	fabric *fabric
	Nodes  map[string]*Node
}

// A Node is one member, running or not.
type Node struct {
	*raftstore.Store // nil while it does not run
	Config           raftstore.Config
	c                *Cluster
}

// New makes an empty cluster.
func New(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t, dir: t.TempDir(), fabric: newFabric(), Nodes: map[string]*Node{}}
	t.Cleanup(func() {
		for _, n := range c.Nodes {
			n.Stop()
		}
	})
	return c
}

// Start makes n nodes n1, n2, … of one static cluster, starts them and waits until they all vote and have a leader.
func Start(t testing.TB, n int, change ...func(*raftstore.Config)) *Cluster {
	t.Helper()
	c := New(t)
	var members []raftstore.Node
	for i := range n {
		members = append(members, raftstore.Node{Name: fmt.Sprintf("n%d", i+1), Address: FreeAddress(t)})
	}
	for _, m := range members {
		node := c.Add(m.Name, func(cfg *raftstore.Config) {
			cfg.Peer, cfg.Cluster = m.Address, members
			for _, f := range change {
				f(cfg)
			}
		})
		node.Start()
	}
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	c.Leader()
	for _, n := range c.Running() { // each node must know all voters
		n.Voters(names...)
	}
	return c
}

// Add makes a node and does not start it. Its settings are those of a single node without a peer port; change alters
// them.
func (c *Cluster) Add(name string, change func(*raftstore.Config)) *Node {
	cfg := raftstore.Config{
		Dir:     filepath.Join(c.dir, name),
		Name:    name,
		Network: Network{c.fabric, name},
		Logger:  c.logger(name),
		// Long, since several nodes share a machine that may be busy, with the race detector on.
		Heartbeat: time.Second,
	}
	change(&cfg)
	n := &Node{Config: cfg, c: c}
	c.Nodes[name] = n
	return n
}

func (c *Cluster) logger(name string) *slog.Logger {
	if os.Getenv("TESTCLUSTER_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", name)
}

// FreeAddress finds a loopback address that nothing listens on.
func FreeAddress(t testing.TB) string {
	t.Helper()
	free, err := procs.FreeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	return free[0]
}

// Start opens the node's store.
func (n *Node) Start() {
	n.c.t.Helper()
	s, err := raftstore.Open(n.Config)
	if err != nil {
		n.c.t.Fatalf("start %s: %v", n.Config.Name, err)
	}
	n.Store = s
}

// Stop closes the node's store, if it runs.
func (n *Node) Stop() {
	if n.Store != nil {
		n.Store.Close()
		n.Store = nil
	}
}

// Isolate cuts the node off from all others; Heal ends that.
func (n *Node) Isolate() { n.c.fabric.isolate(n.Config.Name, true) }

// Heal connects an isolated node again.
func (n *Node) Heal() { n.c.fabric.isolate(n.Config.Name, false) }

// Eventually is [testutil.Until].
func Eventually(t testing.TB, f func() error) {
	t.Helper()
	testutil.Until(t, f)
}

// Running are the nodes that run, by name.
func (c *Cluster) Running() []*Node {
	var list []*Node
	for _, n := range c.Nodes {
		if n.Store != nil {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b *Node) int {
		return slices.Compare([]byte(a.Config.Name), []byte(b.Config.Name))
	})
	return list
}

// Leader waits until a running node answers as the leader.
func (c *Cluster) Leader() *Node {
	c.t.Helper()
	var leader *Node
	Eventually(c.t, func() error {
		for _, n := range c.Running() {
			if n.Status().Role != raftstore.RoleLeader {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			err := n.Have(ctx, []byte("no such session"))
			cancel()
			if n.Status().Role == raftstore.RoleLeader && err != nil && err.Error() == "no such session" {
				leader = n
				return nil
			}
		}
		return errors.New("no leader")
	})
	return leader
}

// Followers are the running nodes other than the leader. On a busy machine another node may lead a moment later: see
// Others.
func (c *Cluster) Followers() []*Node { return c.Others(c.Leader()) }

// Others are the running nodes other than but, whoever leads now.
func (c *Cluster) Others(but *Node) []*Node {
	return slices.DeleteFunc(c.Running(), func(n *Node) bool { return n == but })
}

// Voters waits until the node's cluster has exactly these voters.
func (n *Node) Voters(names ...string) {
	n.c.t.Helper()
	slices.Sort(names)
	Eventually(n.c.t, func() error {
		ms, err := n.Members(context.Background())
		if err != nil {
			return err
		}
		var voters []string
		for _, m := range ms {
			if m.Voter {
				voters = append(voters, m.Name)
			}
		}
		if !slices.Equal(voters, names) || len(ms) != len(names) {
			return fmt.Errorf("members are %v, want voters %v", ms, names)
		}
		return nil
	})
}

// Agree waits until all running nodes have the same applied index, and then compares their session counts.
func (c *Cluster) Agree() {
	c.t.Helper()
	Eventually(c.t, func() error {
		var first raftstore.Status
		for i, n := range c.Running() {
			st := n.Status()
			if i == 0 {
				first = st
				continue
			}
			if st.Applied != first.Applied {
				return fmt.Errorf("%s has applied %d, %s %d", first.Node, first.Applied, st.Node, st.Applied)
			}
			if st.Sessions != first.Sessions {
				return fmt.Errorf("%s has %d sessions, %s %d", first.Node, first.Sessions, st.Node, st.Sessions)
			}
		}
		return nil
	})
}
