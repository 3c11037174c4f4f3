package testcluster

import (
	"context"
	"errors"
	"net"
	"sync"
)

// A Network is one node's network: TCP on the loopback, from which the node can be cut off. It implements
// raftstore.Network.
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
	holds map[string]*Hold // by receiving node
}

func newFabric() *fabric {
	return &fabric{owner: map[string]string{}, cut: map[string]bool{}, conns: map[*conn]struct{}{}, holds: map[string]*Hold{}}
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
	cut := f.apart(n.name, to)
	f.mu.Unlock()
	if cut {
		return nil, errCut
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, fabric: f, from: n.name, to: to, closed: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.apart(n.name, to) { // cut off while Dial connected
		nc.Close()
		return nil, errCut
	}
	c.hold = f.holds[to]
	f.conns[c] = struct{}{}
	return c, nil
}

// apart tells whether two nodes can't reach each other. The caller holds mu.
func (f *fabric) apart(from, to string) bool { return from != to && (f.cut[from] || f.cut[to]) }

// isolate cuts a node off, or connects it again. Cutting off breaks the node's connections.
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

	hold   *Hold // nil: none
	sent   int   // bytes sent under hold; only Write uses it, and one Write runs at a time
	closed chan struct{}
	once   sync.Once
}

func (c *conn) Write(p []byte) (int, error) {
	if c.hold == nil {
		return c.Conn.Write(p)
	}
	return c.hold.write(c, p)
}

func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.fabric.mu.Lock()
	delete(c.fabric.conns, c)
	c.fabric.mu.Unlock()
	return c.Conn.Close()
}
