package raftstore_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/internal/testlog"
	"github.com/distcache/distcache/raftstore"
)

// exchange has two stopped nodes take each other's address.
func exchange(a, b *testcluster.Node) {
	a.Config.Peer, b.Config.Peer = b.Config.Peer, a.Config.Peer
	a.Config.Cluster, b.Config.Cluster = nil, nil
}

// at waits until the cluster looks for each node where it is.
func at(t *testing.T, c *testcluster.Cluster) {
	t.Helper()
	testcluster.Eventually(t, func() error {
		ms, err := c.Leader().Members(ctxFor(t, 5*time.Second))
		if err != nil {
			return err
		}
		for _, n := range c.Running() {
			for _, m := range ms {
				if m.Name == n.Config.Name && m.Address != n.Config.Peer {
					return fmt.Errorf("%s is at %s, the leader looks for it at %s", m.Name, n.Config.Peer, m.Address)
				}
			}
		}
		return nil
	})
}

// A node at an address where it knows another voter to be does not take itself for that one: it would elect itself with
// two votes of three, and have entries in its log that no other has in the same term.
func TestAloneAtAnothersAddress(t *testing.T) {
	t.Parallel()
	said := make(map[string]*testlog.Buffer)
	c := testcluster.Start(t, 3, func(cfg *raftstore.Config) {
		cfg.Heartbeat = 100 * time.Millisecond
		said[cfg.Name] = new(testlog.Buffer)
		cfg.Logger = slog.New(slog.NewTextHandler(said[cfg.Name], nil))
	})
	add(t, c.Leader().Store, 1)
	c.Agree()
	nodes := c.Running()
	for _, n := range nodes {
		n.Stop()
	}
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]
	exchange(n1, n2)
	n2.Start()
	term := n2.Status().Term
	testcluster.Eventually(t, func() error {
		if n := strings.Count(said[n2.Config.Name].String(), "restarting election"); n < 5 {
			return fmt.Errorf("it has stood for election %d times", n)
		}
		return nil
	})
	if st := n2.Status(); st.Term != term || st.Role == raftstore.RoleLeader {
		t.Fatalf("%s is %v in term %d, alone at the address of %s; it was in term %d", n2.Config.Name, st.Role, st.Term, n1.Config.Name, term)
	}
	n2.Stop()
	exchange(n1, n2)
	n1.Start()
	n3.Start()
	add(t, c.Leader().Store, 2)
	n2.Start()
	found(t, n2.Store, 2)
	c.Agree()
}

// Two nodes have exchanged their addresses.
func TestExchangedAddresses(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	add(t, c.Leader().Store, 1)
	nodes := c.Running()
	for _, n := range nodes {
		n.Stop()
	}
	exchange(nodes[0], nodes[1])
	for _, n := range nodes {
		n.Start()
	}
	at(t, c)
	for i, n := range nodes {
		add(t, n.Store, 2+i)
	}
	for _, n := range nodes {
		for i := range 4 {
			found(t, n.Store, 1+i)
		}
	}
	c.Agree()
}

// Two nodes have exchanged their addresses and are all that is left: neither can ask a third.
func TestTwoExchangedAddresses(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	nodes := c.Running()
	add(t, c.Leader().Store, 1)
	for _, n := range nodes {
		testcluster.Eventually(t, func() error {
			if len(n.Status().Leader) == 0 {
				return errors.New("the nodes have not met")
			}
			return nil
		})
	}
	c.Agree()
	for _, n := range nodes {
		n.Stop()
	}
	exchange(nodes[0], nodes[1])
	nodes[0].Start()
	nodes[1].Start()
	at(t, c)
	add(t, nodes[0].Store, 2)
	found(t, nodes[1].Store, 1)
	nodes[2].Start()
	found(t, nodes[2].Store, 2)
	c.Agree()
}

// A node was at the address of another, which was down, and is back at its own, as that other is.
func TestAddressIsGivenBack(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	l := c.Leader()
	a, b := c.Others(l)[0], c.Others(l)[1]
	add(t, l.Store, 1)
	a.Stop()
	b.Stop()
	exchange(a, b)
	b.Start()
	at(t, c)
	add(t, b.Store, 2)
	b.Stop()
	exchange(a, b)
	a.Start()
	b.Start()
	at(t, c)
	found(t, a.Store, 2)
	found(t, b.Store, 2)
	c.Agree()
}

// A node that says that it is where another member is, and is not, is not believed. When it leads, nobody finds it
// there: it hands over.
func TestAddressOfSomebodyElse(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	add(t, c.Leader().Store, 1)
	n, other := c.Running()[0], c.Running()[1]
	n.Stop()
	n.Config.Cluster, n.Config.Advertise = nil, other.Config.Peer
	n.Start()
	c.Agree()
	testcluster.Eventually(t, func() error {
		return c.Leader().Transfer(ctxFor(t, time.Second), n.Config.Name)
	})
	testcluster.Eventually(t, func() error {
		if name := c.Leader().Config.Name; name == n.Config.Name {
			return errors.New(name + " leads, and says that it is where another node is")
		}
		return nil
	})
	for i, m := range c.Running() {
		add(t, m.Store, 2+i)
	}
	ms, err := other.Members(ctxFor(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		if m.Name == other.Config.Name && m.Address != other.Config.Peer {
			t.Error(m.Name + " is looked for at " + m.Address)
		}
	}
}

// A node was down while another one was at its address, and all others have moved since. It comes back where it was:
// the others look for it nowhere, and it knows none of their addresses to be theirs.
func TestBackWhereNobodyLooks(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	add(t, c.Leader().Store, 1)
	nodes := c.Running()
	a, b, back := nodes[0], nodes[1], nodes[2]
	first, second, third := a.Config.Peer, b.Config.Peer, back.Config.Peer
	for _, n := range nodes {
		n.Config.Cluster = nil
	}
	back.Stop()
	b.Stop()
	b.Config.Peer = third
	b.Start()
	at(t, c)
	add(t, a.Store, 2)
	a.Stop()
	b.Stop()
	a.Config.Peer, b.Config.Peer = second, first
	a.Start()
	b.Start()
	at(t, c)
	back.Start()
	at(t, c)
	found(t, back.Store, 2)
	c.Agree()
}
