package testcluster

import (
	"context"
	"errors"
	"net"
	"sync"
)

// A Network is TCP on the loopback between named nodes, any of which can be cut off from the others. It implements
// raftstore.Network for one node.
type Network struct {
	fabric *fabric
	name   string
}

// fabric knows which node listens where, who is cut off, and every open connection.
type fabric struct {
	mu    sync.Mutex
	owner map[string]string // address to node
	cut   map[string]bool   // nodes that reach nobody
	conns map[*conn]struct{}
}

func newFabric() *fabric {
	return &fabric{owner: map[string]string{}, cut: map[string]bool{}, conns: map[*conn]struct{}{}}
}

var errCut = errors.New("network partition")

// Listen listens on the address and notes that it is this node's.
func (n Network) Listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	n.fabric.mu.Lock()
	n.fabric.owner[address] = n.name
	n.fabric.mu.Unlock()
	return l, nil
}

// Dial connects unless one of the two ends is cut off.
func (n Network) Dial(ctx context.Context, address string) (net.Conn, error) {
	f := n.fabric
	f.mu.Lock()
	to := f.owner[address]
	cut := to != n.name && (f.cut[n.name] || f.cut[to])
	f.mu.Unlock()
	if cut {
		return nil, errCut
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, fabric: f, from: n.name, to: to}
	f.mu.Lock()
	f.conns[c] = struct{}{}
	f.mu.Unlock()
	return c, nil
}

// isolate cuts a node off, or heals that, and breaks the connections that cross.
func (f *fabric) isolate(name string, cut bool) {
	f.mu.Lock()
	f.cut[name] = cut
	var broken []*conn
	for c := range f.conns {
		if cut && c.from != c.to && (c.from == name || c.to == name) {
			broken = append(broken, c)
		}
	}
	f.mu.Unlock()
	for _, c := range broken {
		c.Close()
	}
}

type conn struct {
	net.Conn
	fabric   *fabric
	from, to string
}

func (c *conn) Close() error {
	c.fabric.mu.Lock()
	delete(c.fabric.conns, c)
	c.fabric.mu.Unlock()
	return c.Conn.Close()
}
