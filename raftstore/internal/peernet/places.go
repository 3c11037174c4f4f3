package peernet

import (
	"net"
	"sync"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// Bounds of the connections that a peer port has open. When one is reached, the oldest connection of the same kind is
// closed, so that whoever opens many shuts nobody else out.
const (
	maxGreeting  = 128 // that have not said yet whose they are, or not proved it
	maxPerNode   = 32  // of one node; a node of this program has about ten
	maxStrangers = 64  // of all nodes together that are no members of this node's cluster
)

// A stage is how far an accepted connection has come.
type stage int

const (
	greeting stage = iota
	ofStranger
	ofMember
)

// An accepted connection has a place at its Mux until it is closed.
type accepted struct {
	net.Conn          // with TLS, if the port has that
	raw      net.Conn // without
	at       *places

	from  serverid.ID // the sender; empty while it greets
	stage stage
	since uint64 // increases from connection to connection
}

// Close may be called by any goroutine, and more than once.
func (c *accepted) Close() error {
	c.at.leave(c)
	return c.Conn.Close()
}

// drop closes the connection without a last word to the peer, who may not take it.
func (c *accepted) drop() {
	c.at.leave(c)
	c.raw.Close()
}

// places has the open connections of a peer port.
type places struct {
	mu     sync.Mutex
	conns  map[*accepted]struct{}
	clock  uint64
	closed bool
}

func newPlaces() *places { return &places{conns: make(map[*accepted]struct{})} }

// enter gives a new connection a place; false after close.
func (p *places) enter(c *accepted) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.makeRoom(maxGreeting, func(other *accepted) bool { return other.stage == greeting })
	p.clock++
	c.at, c.since, c.stage = p, p.clock, greeting
	p.conns[c] = struct{}{}
	return true
}

// greeted notes whose a connection is.
func (p *places) greeted(c *accepted, from serverid.ID, member bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.makeRoom(maxPerNode, func(other *accepted) bool { return other.stage != greeting && other.from == from })
	c.stage = ofMember
	if !member {
		p.makeRoom(maxStrangers, func(other *accepted) bool { return other.stage == ofStranger })
		c.stage = ofStranger
	}
	c.from = from
}

// makeRoom closes the oldest connection of a kind if there are so many. Called with mu held.
func (p *places) makeRoom(most int, kind func(*accepted) bool) {
	var oldest *accepted
	n := 0
	for c := range p.conns {
		if !kind(c) {
			continue
		}
		if n++; oldest == nil || c.since < oldest.since {
			oldest = c
		}
	}
	if n >= most {
		delete(p.conns, oldest)
		oldest.raw.Close()
	}
}

func (p *places) leave(c *accepted) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// has tells whether a connection is open.
func (p *places) has(c *accepted) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.conns[c]
	return ok
}

// close closes all connections, and those that come later.
func (p *places) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for c := range p.conns {
		c.raw.Close()
	}
}

func (p *places) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}
