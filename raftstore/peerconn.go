package raftstore

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/wire/client"
)

const (
	peerDialTimeout = time.Second
	peerRedialPause = 50 * time.Millisecond // after a failed dial, before the next to the same address
	peerInFlight    = 1 << 14
	peerConns       = 64
)

var (
	errOtherLeader = errors.New("another node leads")
	errGivenUp     = errors.New("connection given up")
)

// peers keeps one connection to each node that this one asks things.
type peers struct {
	network  Network
	security Security
	self     func() serverid.ID
	failed   func(peernet.Peer) // nil, or told of each node that could not be reached; must not block
	ctx      context.Context    // ends with close
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu     sync.Mutex
	conns  map[peernet.Peer]*peerConn
	closed bool
}

func newPeers(network Network, security Security, self func() serverid.ID) *peers {
	p := &peers{network: network, security: security, self: self, conns: make(map[peernet.Peer]*peerConn)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// close closes the connections and waits for what the peers have started. Requests under way fail, as do all later
// ones.
func (p *peers) close() {
	p.mu.Lock()
	p.closed = true
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	p.cancel()
	for _, c := range conns {
		c.close()
	}
	p.wg.Wait()
}

// reset closes the connections, which are in the name of the server that this node was. Requests open new ones.
func (p *peers) reset() {
	p.mu.Lock()
	conns := p.conns
	if p.closed {
		conns = nil
	} else {
		p.conns = make(map[peernet.Peer]*peerConn)
	}
	p.mu.Unlock()
	for _, c := range conns {
		c.close()
	}
}

// spawn runs f in a goroutine for which close waits; false when it has been called.
func (p *peers) spawn(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.wg.Go(f)
	return true
}

// to is what there is of a connection to a node, nil after close.
func (p *peers) to(to peernet.Peer) *peerConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	c := p.conns[to]
	if c == nil {
		if len(p.conns) >= peerConns { // of nodes long gone, most of them; those in use come back
			for _, old := range p.conns {
				p.wg.Go(old.close)
			}
			clear(p.conns)
		}
		c = &peerConn{}
		p.conns[to] = c
	}
	return c
}

// live is the connection to a node, if there is one already.
func (p *peers) live(to peernet.Peer) *client.Conn {
	p.mu.Lock()
	c := p.conns[to]
	p.mu.Unlock()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live()
}

// nameAt is the name that the node at the other end of a connection has proved, empty if it has proved none.
func (p *peers) nameAt(to peernet.Peer) string {
	p.mu.Lock()
	c := p.conns[to]
	p.mu.Unlock()
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.name
}

// drop closes the connection to a node: requests under way there fail, as do those that wait for it to be opened.
func (p *peers) drop(to peernet.Peer) {
	p.mu.Lock()
	c := p.conns[to]
	p.mu.Unlock()
	if c != nil {
		c.drop(errOtherLeader)
	}
}

// get finds a live connection to a node, or waits until one has been opened, for as long as ctx allows.
func (p *peers) get(ctx context.Context, to peernet.Peer) (*client.Conn, error) {
	c := p.to(to)
	if c == nil {
		return nil, ErrClosed
	}
	conn, a, err := p.begin(c, to)
	if a == nil {
		return conn, err
	}
	select {
	case <-a.done:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin finds a live connection, or the attempt to open one that is to be waited for, which it begins unless one is
// under way.
func (p *peers) begin(c *peerConn, to peernet.Peer) (*client.Conn, *attempt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn := c.live(); conn != nil {
		return conn, nil, nil
	}
	switch {
	case c.closed:
		return nil, nil, errGivenUp
	case c.attempt != nil:
		return nil, c.attempt, nil
	case c.err != nil && time.Since(c.failed) < peerRedialPause:
		return nil, nil, c.err
	}
	a, lost := &attempt{done: make(chan struct{})}, c.conn
	if !p.spawn(func() { p.connect(to, c, a, lost) }) {
		return nil, nil, ErrClosed
	}
	c.attempt, c.conn = a, nil
	return nil, a, nil
}

// connect carries out an attempt. Its time limit is its own, not that of the call that happened to come first. The
// connection before it is lost; this waits for its end.
func (p *peers) connect(to peernet.Peer, c *peerConn, a *attempt, lost *client.Conn) {
	ctx, cancel := context.WithTimeout(p.ctx, peerDialTimeout)
	nc, name, err := peernet.DialPeer(ctx, p.network, p.security, p.self(), to)
	cancel()
	if err != nil && p.failed != nil {
		p.failed(to)
	}
	c.opened(a, nc, name, err)
	if lost != nil {
		lost.Close()
	}
}

// A peerConn is the connection to one node. mu is held for moments only, whatever the network does.
type peerConn struct {
	mu      sync.Mutex
	conn    *client.Conn
	name    string   // of the node at the other end, if that was proved
	attempt *attempt // under way, instead of conn
	closed  bool
	failed  time.Time // when the last attempt failed
	err     error     // of that
}

// An attempt to connect is shared by all that wait for it.
type attempt struct {
	done chan struct{} // closed when it has ended, with one of these
	conn *client.Conn
	err  error
}

func (a *attempt) end(conn *client.Conn, err error) {
	a.conn, a.err = conn, err
	close(a.done)
}

// live is the connection unless there is none or it is lost. Called with mu held.
func (c *peerConn) live() *client.Conn {
	if c.conn == nil || c.conn.Err() != nil {
		return nil
	}
	return c.conn
}

// opened ends an attempt, unless it was given up meanwhile.
func (c *peerConn) opened(a *attempt, nc net.Conn, name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempt != a {
		if err == nil {
			nc.Close()
		}
		return
	}
	c.attempt, c.err, c.name = nil, err, name
	if err != nil {
		c.failed = time.Now()
	} else {
		c.conn = client.NewConn(nc, client.ConnConfig{Rules: peerResponses, MaxInFlight: peerInFlight})
	}
	a.end(c.conn, err)
}

// drop gives the connection up, or the attempt to open one, because of err.
func (c *peerConn) drop(err error) {
	c.mu.Lock()
	conn, a := c.conn, c.attempt
	c.attempt = nil
	c.mu.Unlock()
	if a != nil {
		a.end(nil, err)
	}
	if conn != nil {
		conn.Abort(err)
	}
}

// close drops the connection for good, and waits for its end.
func (c *peerConn) close() {
	c.mu.Lock()
	c.closed = true
	conn := c.conn
	c.mu.Unlock()
	c.drop(errGivenUp)
	if conn != nil {
		conn.Close()
	}
}
