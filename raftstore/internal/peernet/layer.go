package peernet

import (
	"cmp"
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
	mux      *Mux
	self     Self
	accepted chan net.Conn
	done     chan struct{}
	once     sync.Once
	open     atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
	seen  map[string]sighting // by name of the node
}

var _ raft.StreamLayer = (*Layer)(nil)

// A Self is whose Raft instance it is.
type Self struct {
	Name    string // of the node
	Address string // at which others reach it

	// Cluster is the name of its cluster, empty as long as it has not applied the log entry that gives it: those that
	// don't say it are turned away. Logged is the name that is in its log, applied or not, and what it says until then.
	Cluster, Logged func() string
}

// Layer makes a new Layer for a Raft instance. It takes the place of the one before.
func (m *Mux) Layer(self Self) *Layer {
	l := &Layer{mux: m, self: self, accepted: make(chan net.Conn), done: make(chan struct{})}
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
func (l *Layer) Addr() net.Addr { return address(l.self.Address) }

// dialTimeout bounds Dial: a packet that was lost is sent again after one second, then after two, four and so on, and one
// that opens a new connection does not wait for as long.
const dialTimeout = 2 * time.Second

// Dial connects to the Raft of the node that a [Target] names, if it is at that address or where it was seen of late, or to
// this one's own, which is always open to itself.
func (l *Layer) Dial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	name, address := Target(target)
	if name == l.self.Name {
		return l.dialSelf()
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(timeout, dialTimeout))
	defer cancel()
	begin, err := greeting{cmp.Or(l.self.Cluster(), l.self.Logged()), name}.bytes()
	if err != nil {
		return nil, err
	}
	if other, ok := l.lastSeen(name); ok && other != address {
		if c, err := dial(ctx, l.mux.network, other, begin); err == nil {
			return c, nil
		}
	}
	return dial(ctx, l.mux.network, address, begin)
}

// seenLife is how long it counts where a node was seen: it says so again and again until its cluster has noted it.
const seenLife = 5 * time.Second

type sighting struct {
	address string
	when    time.Time
}

// Seen notes that a node of the cluster is at an address, which Raft may not know yet.
func (l *Layer) Seen(name, address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = make(map[string]sighting)
	}
	l.seen[name] = sighting{address, time.Now()}
}

func (l *Layer) lastSeen(name string) (address string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.seen[name]
	return s.address, s.address != "" && s.address != l.self.Address && time.Since(s.when) < seenLife
}

// welcomes tells why a connection is not for this Raft instance.
func (l *Layer) welcomes(g greeting) error {
	if ours := l.self.Cluster(); ours != "" && g.cluster != ours {
		return errors.New("it is of another cluster")
	}
	if g.node != l.self.Name {
		return errors.New("it takes this node for another one")
	}
	return nil
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

	// Sends tells whether this node's Raft, which led in a term, still leads in it and sends to a member at an address.
	// To one that does not answer heartbeats it sends nothing else as long as that is so. nil: it tries.
	Sends func(id raft.ServerID, address raft.ServerAddress, term uint64) bool

	reach reach
}

// SetHeartbeatHandler does nothing.
func (*Transport) SetHeartbeatHandler(func(raft.RPC)) {}
