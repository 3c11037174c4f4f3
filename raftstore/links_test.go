package raftstore_test

import (
	"context"
	"net"
	"sync"
	"syscall"

	"github.com/distcache/distcache/raftstore"
)

// The first byte of a connection between nodes tells what it is for.
const (
	linkRaft = 'R'
	linkPeer = 'p'
)

// links are the connections between nodes, which can be cut by who opens them and what they are for.
type links struct {
	mu    sync.Mutex
	names map[string]string // by address
	cut   func(from, to string, kind byte) bool
	open  map[*link]struct{}
}

func newLinks() *links {
	return &links{names: map[string]string{}, cut: uncut, open: map[*link]struct{}{}}
}

func uncut(string, string, byte) bool { return false }

// through has a node's connections made by way of l.
func (l *links) through(cfg *raftstore.Config) {
	cfg.Network = linked{cfg.Network, l, cfg.Name}
}

// sever breaks the connections that cut says, and refuses new ones like them. It ends what was cut before.
func (l *links) sever(cut func(from, to string, kind byte) bool) {
	l.mu.Lock()
	l.cut = cut
	var broken []*link
	for c := range l.open {
		if c.kind != 0 && cut(c.from, c.to, c.kind) {
			broken = append(broken, c)
		}
	}
	l.mu.Unlock()
	for _, c := range broken {
		c.Close()
	}
}

// linked is one node's network.
type linked struct {
	raftstore.Network
	l    *links
	name string
}

func (n linked) Listen(address string) (net.Listener, error) {
	n.l.mu.Lock()
	n.l.names[address] = n.name
	n.l.mu.Unlock()
	return n.Network.Listen(address)
}

func (n linked) Dial(ctx context.Context, address string) (net.Conn, error) {
	nc, err := n.Network.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	n.l.mu.Lock()
	defer n.l.mu.Unlock()
	c := &link{Conn: nc, l: n.l, from: n.name, to: n.l.names[address]}
	n.l.open[c] = struct{}{}
	return c, nil
}

// A link is a connection on the side that opened it. What it is for is known when something has been written; if such
// are cut then, it looks like one that the other end refused.
type link struct {
	net.Conn
	l        *links
	from, to string
	kind     byte
}

func (c *link) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.l.mu.Lock()
	refused := false
	if c.kind == 0 {
		c.kind = p[0]
		refused = c.l.cut(c.from, c.to, c.kind)
	}
	c.l.mu.Unlock()
	if refused {
		return 0, syscall.ECONNREFUSED
	}
	return c.Conn.Write(p)
}

func (c *link) Close() error {
	c.l.mu.Lock()
	delete(c.l.open, c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}

// depose has another node than the leader elected, of which the leader does not hear: no word of Raft reaches it or
// comes from it, and the others take it for dead. What it asks itself is answered as before.
func (l *links) depose(leader string) {
	l.sever(func(from, to string, kind byte) bool {
		return kind == linkRaft && (from == leader || to == leader) ||
			kind == linkPeer && to == leader
	})
}
