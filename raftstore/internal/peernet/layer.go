package peernet

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// A Layer is the part of the peer port that one Raft instance uses. Closing it closes the connections it was given, and
// leaves the port open.
type Layer struct {
	mux       *Mux
	advertise string
	cluster   func() string
	accepted  chan net.Conn
	done      chan struct{}
	once      sync.Once
	open      atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

var _ raft.StreamLayer = (*Layer)(nil)

// Layer makes a new Layer for a Raft instance that others reach at the address advertise. It takes the place of the
// one before. cluster names the cluster that the instance belongs to, and is empty as long as that is not known.
func (m *Mux) Layer(advertise string, cluster func() string) *Layer {
	l := &Layer{mux: m, advertise: advertise, cluster: cluster, accepted: make(chan net.Conn), done: make(chan struct{})}
	m.mu.Lock()
	m.layer = l
	m.mu.Unlock()
	return l
}

// Open lets other nodes' Raft in.
func (l *Layer) Open() { l.open.Store(true) }

func (l *Layer) deliver(c net.Conn) bool {
	return l.open.Load() && l.hand(c)
}

// hand gives Raft a connection.
func (l *Layer) hand(c net.Conn) bool {
	l.mu.Lock()
	l.conns = append(l.live(), c)
	l.mu.Unlock()
	select {
	case l.accepted <- c:
	case <-l.done:
		return false
	}
	select {
	case <-l.done: // Close may not have seen it
		c.Close()
	default:
	}
	return true
}

// live drops the connections that have been closed. Called with mu held.
func (l *Layer) live() []net.Conn {
	kept := l.conns[:0]
	for _, c := range l.conns {
		if l.mux.tracked(c) {
			kept = append(kept, c)
		}
	}
	return kept
}

func (m *Mux) tracked(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.conns[c.(*conn).Conn]
	return ok
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
			c.Close()
		}
	})
	return nil
}

// Addr is the address that others reach this node at: it becomes the leader's.
func (l *Layer) Addr() net.Addr { return address(l.advertise) }

// Dial connects to another node's Raft, or to this one's own, which is always open to itself.
func (l *Layer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	if string(address) == l.advertise {
		return l.dialSelf()
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	name := l.cluster()
	if len(name) > maxCluster {
		return nil, errors.New("the cluster's name is too long")
	}
	return dial(ctx, l.mux.network, string(address), append([]byte{kindRaft, byte(len(name))}, name...))
}

func (l *Layer) dialSelf() (net.Conn, error) {
	here, there := net.Pipe()
	c := &conn{Conn: there, mux: l.mux}
	if !l.mux.track(there) || !l.hand(c) {
		c.Close()
		return nil, net.ErrClosed
	}
	return here, nil
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// A Transport is Raft's network transport without the heartbeat fast path, which changes the term outside Raft's main
// loop (hashicorp/raft#695): heartbeats take their turn with the other requests.
type Transport struct {
	*raft.NetworkTransport

	// Durable waits until this node has the entries up to an index on disk; an error means that it may not come to that.
	// What another node answers to entries is kept back until then. nil: no answer is.
	Durable func(index uint64) error
}

// SetHeartbeatHandler does nothing.
func (Transport) SetHeartbeatHandler(func(raft.RPC)) {}
