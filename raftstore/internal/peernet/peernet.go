// Package peernet is a node's peer port, on which other nodes connect. A [Mux] owns the port. The first byte of each
// connection tells its kind: Raft connections go to the [Layer] of the running Raft instance, and connections with peer
// requests to a function of the owner. [Transport] wraps Raft's own transport to work around known trouble.
package peernet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/distcache/distcache/internal/ratelog"
	"github.com/distcache/distcache/internal/rawconn"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/wire"
)

// kindLimit is the time limit for the greeting of a connection, and again for the first byte after the greeting.
const kindLimit = 5 * time.Second

// maxConns bounds the connections of the peer port. A cluster of a few nodes has a few from each.
const maxConns = 1024

// A Network opens the connections between nodes.
type Network interface {
	Listen(address string) (net.Listener, error)
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// TCP is the plain network.
type TCP struct{}

// Listen listens on HOST:PORT.
func (TCP) Listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }

// Dial connects to HOST:PORT.
func (TCP) Dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return rawconn.Wrap(c), nil
}

// A Mux is the peer port. Close stops it and closes every connection it accepted.
type Mux struct {
	l       net.Listener
	network Network
	log     *ratelog.Logger
	serve   func(nc net.Conn, to serverid.ID)
	wg      sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	layer  *Layer
	closed bool
}

// Listen opens the peer port. It calls serve for each connection with peer requests, in a goroutine of its own, with
// the ID of the node that is addressed, which may be empty. serve must close the connection.
func Listen(network Network, address string, log *slog.Logger, serve func(nc net.Conn, to serverid.ID)) (*Mux, error) {
	l, err := network.Listen(address)
	if err != nil {
		return nil, err
	}
	m := &Mux{l: l, network: network, log: ratelog.New(log), serve: serve, conns: make(map[net.Conn]struct{})}
	m.wg.Add(1)
	go m.accept()
	return m, nil
}

// Addr is the address of the port.
func (m *Mux) Addr() net.Addr { return m.l.Addr() }

// Close closes the port and its connections, and waits until all calls of serve have returned. It may be called twice.
func (m *Mux) Close() error {
	m.mu.Lock()
	m.closed = true
	for c := range m.conns {
		c.Close()
	}
	m.mu.Unlock()
	err := m.l.Close()
	m.wg.Wait()
	m.log.Close("peer port: connections turned away")
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (m *Mux) accept() {
	defer m.wg.Done()
	for {
		c, err := m.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			m.log.Warn("peer port: accept failed", "error", err)
			if m.isClosed() {
				return
			}
			time.Sleep(50 * time.Millisecond) // most likely out of descriptors, until others have closed some
			continue
		}
		c = rawconn.Wrap(c)
		if !m.track(c) {
			if !m.isClosed() {
				m.log.Warn("peer port: connection refused: too many are open",
					"remote", c.RemoteAddr().String(), "limit", maxConns)
			}
			c.Close()
			continue
		}
		m.wg.Add(1)
		go m.greet(c)
	}
}

func (m *Mux) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

func (m *Mux) track(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.conns) >= maxConns {
		return false
	}
	m.conns[c] = struct{}{}
	return true
}

func (m *Mux) forget(c net.Conn) {
	m.mu.Lock()
	delete(m.conns, c)
	m.mu.Unlock()
}

// greet reads the greeting of a connection and hands the connection on by its kind.
func (m *Mux) greet(c net.Conn) {
	defer m.wg.Done()
	var kind [1]byte
	err := c.SetReadDeadline(time.Now().Add(kindLimit))
	if err == nil {
		_, err = io.ReadFull(c, kind[:])
	}
	tracked := &conn{Conn: c, mux: m}
	switch {
	case err != nil:
		tracked.Close()
	case kind[0] == kindPeer:
		if !m.greetPeer(tracked) {
			tracked.Close()
		}
	case kind[0] == kindRaft:
		if !m.greetRaft(tracked) {
			tracked.Close()
		}
	default:
		m.greetOther(tracked, kind[0])
		tracked.Close()
	}
}

// greetOther logs a connection that is not from a node. first is its first byte, which has been read. A client that
// asks whether a server is there is told that this is a peer port.
func (m *Mux) greetOther(c *conn, first byte) {
	what := "a connection that is not a node's"
	var msg wire.Message
	if wire.NewReader(io.MultiReader(bytes.NewReader([]byte{first}), c.Conn), wire.Requests).Read(&msg) == nil {
		what = "a client of the cache, which has to use the port for clients"
		if msg.Op == wire.OpHave && len(msg.Payload) == 0 && c.SetWriteDeadline(time.Now().Add(kindLimit)) == nil {
			msg.Response, msg.Payload = true, []byte(wire.PeerPort)
			_, _ = c.Write(wire.AppendMessage(nil, &msg)) // the client may be gone
		}
	}
	m.log.Warn("peer port: "+what, "remote", c.RemoteAddr().String())
}

// greetPeer hands a connection with peer requests to serve.
func (m *Mux) greetPeer(c *conn) bool {
	to, err := readID(c.Conn)
	if err != nil || c.SetReadDeadline(time.Now().Add(kindLimit)) != nil {
		return false
	}
	if layer := m.current(); layer != nil && to != "" && to != layer.self.ID {
		m.turnedAway(c, "", to)
		return false
	}
	m.serve(c, to)
	return true
}

func (m *Mux) turnedAway(c *conn, from, to serverid.ID) {
	m.log.Warn("peer port: a connection for another node was turned away",
		"remote", c.RemoteAddr().String(), "from", from, "to", to)
}

// current is the Layer of the running Raft instance, nil when there is none.
func (m *Mux) current() *Layer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.layer
}

// greetRaft hands a connection to the running Raft instance, if the connection is for it.
func (m *Mux) greetRaft(c *conn) bool {
	g, err := readGreeting(c.Conn)
	if err != nil || c.SetReadDeadline(time.Now().Add(kindLimit)) != nil {
		return false
	}
	layer := m.current()
	if layer == nil {
		return false
	}
	if g.to != layer.self.ID {
		m.turnedAway(c, g.from.ID, g.to)
		return false
	}
	layer.Seen(g.from)
	return layer.hand(c)
}

// lostAfter is how long a connection for peer requests may have unacknowledged data before it is closed. Callers give
// up earlier; the limit is for callers that come when the network works again.
const lostAfter = 3 * time.Second

// DialPeer connects to another node's peer port for peer requests.
func DialPeer(ctx context.Context, network Network, to Peer) (net.Conn, error) {
	begin, err := peerGreeting(to.ID)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, network, to.Address, begin)
	if err != nil {
		return nil, err
	}
	if tcp := rawconn.Of(c); tcp != nil {
		if err := tcp.SetUserTimeout(lostAfter); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

func dial(ctx context.Context, network Network, address string, greeting []byte) (net.Conn, error) {
	c, err := network.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	if d, ok := ctx.Deadline(); ok {
		err = c.SetWriteDeadline(d)
	}
	if err == nil {
		_, err = c.Write(greeting)
	}
	if err == nil {
		err = c.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// conn is an accepted connection that its Mux forgets when it is closed. A node connects when it has something to send,
// so the first byte after the greeting has a time limit; after that byte there is none.
type conn struct {
	net.Conn
	mux   *Mux
	spoke bool // only used by Read, which one goroutine calls
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.spoke {
		c.spoke = true
		_ = c.SetReadDeadline(time.Time{}) // an error is the next Read's too
	}
	return n, err
}

func (c *conn) Close() error {
	c.mux.forget(c.Conn)
	return c.Conn.Close()
}
