package peernet

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A Layer is one Raft instance's share of the peer port. Close closes the connections that were handed to it, and
// leaves the port open.
type Layer struct {
	mux      *Mux
	self     Peer
	accepted chan net.Conn
	done     chan struct{}
	once     sync.Once

	owner atomic.Pointer[owner] // nil until Start

	mu    sync.Mutex
	conns []*accepted
	seen  map[serverid.ID]sighting
}

var _ raft.StreamLayer = (*Layer)(nil)

// Layer makes a new Layer for the Raft instance with this ID and advertised address. The new Layer replaces the former.
// Its connections wait for Accept.
func (m *Mux) Layer(self Peer) *Layer {
	l := &Layer{mux: m, self: self, accepted: make(chan net.Conn), done: make(chan struct{})}
	m.mu.Lock()
	m.layer = l
	m.mu.Unlock()
	return l
}

// An owner is what a Layer asks the node whose Raft instance it serves.
type owner struct {
	isMember    func(serverid.ID) bool
	maxSnapshot func() int64
}

// Start is called before Accept. isMember tells whether a server is a member of the newest configuration in this node's
// log, maxSnapshot the largest snapshot that is received. Both may be called by any goroutine.
func (l *Layer) Start(isMember func(serverid.ID) bool, maxSnapshot func() int64) {
	l.owner.Store(&owner{isMember, maxSnapshot})
}

func (l *Layer) isMember(id serverid.ID) bool {
	o := l.owner.Load()
	return o != nil && o.isMember(id)
}

func (l *Layer) maxSnapshot() int64 {
	if o := l.owner.Load(); o != nil {
		return o.maxSnapshot()
	}
	return 0
}

// hand gives Raft a connection.
func (l *Layer) hand(c *accepted, asRaft net.Conn) bool {
	l.mu.Lock()
	l.conns = append(slices.DeleteFunc(l.conns, func(c *accepted) bool { return !l.mux.places.has(c) }), c)
	l.mu.Unlock()
	select {
	case l.accepted <- asRaft:
	case <-l.done:
		return false
	}
	select {
	case <-l.done: // Close may have missed this connection
		c.Close()
	default:
	}
	return true
}

// Accept returns the next connection that another node's Raft opened.
func (l *Layer) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and closes the connections.
func (l *Layer) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, c := range l.conns {
			c.drop()
		}
	})
	return nil
}

// Addr is the address at which other nodes reach this node.
func (l *Layer) Addr() net.Addr { return address(l.self.Address) }

// dialTimeout bounds Dial. TCP retransmits a lost packet after one second, then after two, four and so on; a new
// connection, dialed after dialTimeout, gets through sooner.
const dialTimeout = 2 * time.Second

// Dial connects to another node's Raft: at the address that the node announced lately, or else at the
// configuration's. It fails once the Layer is closed. Raft's heartbeat goroutines go on until its main goroutine
// ends, which may be waiting for the disk; without connections they send nothing.
func (l *Layer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	peer := parseTarget(to)
	ctx, cancel := context.WithTimeout(context.Background(), min(timeout, dialTimeout))
	defer cancel()
	g := greetingOf{kind: kindRaft, from: l.self, to: peer.ID}
	if other, ok := l.LastSeen(peer.ID); ok && other != peer.Address {
		if c, _, err := dial(ctx, l.mux.Network, l.mux.Security, other, g, 0); err == nil {
			return c, nil
		}
		l.Unseen(Peer{peer.ID, other})
	}
	c, _, err := dial(ctx, l.mux.Network, l.mux.Security, peer.Address, g, 0)
	return c, err
}

// seenLife is how long an announced address counts. A node announces a new address again and again until the address is
// in the cluster's configuration.
const seenLife = 5 * time.Second

// maxSeen bounds the nodes whose announced addresses are remembered. A cluster has far fewer.
const maxSeen = 256

type sighting struct {
	address string
	when    time.Time
}

// Seen notes the address that a node announces, which may not be in the cluster's configuration yet. A false address
// does no harm: another node there refuses a connection for that ID.
func (l *Layer) Seen(p Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil || len(l.seen) >= maxSeen {
		l.seen = make(map[serverid.ID]sighting)
	}
	l.seen[p.ID] = sighting{p.Address, time.Now()}
}

// Unseen notes that a node can't be reached at its announced address.
func (l *Layer) Unseen(p Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[p.ID].address == p.Address {
		delete(l.seen, p.ID)
	}
}

// LastSeen is the address that a node announced within seenLife.
func (l *Layer) LastSeen(id serverid.ID) (address string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.seen[id]
	return s.address, s.address != "" && s.address != l.self.Address && time.Since(s.when) < seenLife
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
