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

// kindLimit is the time limit for the handshake and greeting of a connection, and again for the first byte after the
// greeting.
const kindLimit = 5 * time.Second

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

// Options are what a peer port needs.
type Options struct {
	Network  Network
	Security Security // nil: whoever reaches the port is believed
	Logger   *slog.Logger
	// Serve serves a connection with peer requests, in a goroutine of its own, and closes it. from is the sender, to the
	// node that is addressed, which may be empty.
	Serve func(nc net.Conn, from, to serverid.ID)
}

// A Mux is the peer port. Close stops it and closes every connection it accepted.
type Mux struct {
	Options
	l      net.Listener
	log    *ratelog.Logger
	places *places
	turns  *turns
	wg     sync.WaitGroup

	mu    sync.Mutex
	layer *Layer
}

// Listen opens the peer port.
func Listen(address string, opts Options) (*Mux, error) {
	l, err := opts.Network.Listen(address)
	if err != nil {
		return nil, err
	}
	if opts.Security == nil {
		opts.Security = plain{}
	}
	m := &Mux{Options: opts, l: l, log: ratelog.New(opts.Logger), places: newPlaces(), turns: newTurns()}
	m.wg.Add(1)
	go m.accept()
	return m, nil
}

// Addr is the address of the port.
func (m *Mux) Addr() net.Addr { return m.l.Addr() }

// Close closes the port and its connections, and waits until all calls of Serve have returned. It may be called twice.
func (m *Mux) Close() error {
	m.places.close()
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
		nc, err := m.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			m.log.Warn("peer port: accept failed", "error", err)
			if m.places.isClosed() {
				return
			}
			time.Sleep(50 * time.Millisecond) // most likely out of descriptors, until others have closed some
			continue
		}
		nc = rawconn.Wrap(nc)
		c := &accepted{Conn: nc, raw: nc}
		if !m.places.enter(c) {
			nc.Close()
			continue
		}
		m.wg.Go(func() {
			if !m.greet(c) {
				c.Close()
			}
		})
	}
}

// greet makes the handshake of a connection, reads its greeting, and hands it on by its kind; false if it is to be
// closed.
func (m *Mux) greet(c *accepted) bool {
	deadline := time.Now().Add(kindLimit)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if c.SetDeadline(deadline) != nil {
		return false
	}
	secured, name, err := m.Security.Server(ctx, c.raw)
	if err != nil {
		m.log.Warn("peer port: connection refused", "remote", c.RemoteAddr().String(), "error", err)
		return false
	}
	c.Conn = secured
	var kind [1]byte
	if _, err := io.ReadFull(c, kind[:]); err != nil {
		return false
	}
	if kind[0] != kindPeer && kind[0] != kindRaft {
		m.greetOther(c, kind[0])
		return false
	}
	g, err := readGreeting(c, kind[0])
	if errors.Is(err, net.ErrClosed) && !m.places.isClosed() {
		err = errors.New("it has not greeted, and too many others had not")
	}
	if err != nil {
		m.log.Warn("peer port: connection refused", "remote", c.RemoteAddr().String(), "error", err)
		return false
	}
	if !speaksFor(name, g.from.ID) {
		m.log.Warn("peer port: connection refused: its certificate is another node's",
			"remote", c.RemoteAddr().String(), "from", g.from.ID, "certificate", name)
		return false
	}
	layer := m.current()
	if layer != nil && g.to != "" && g.to != layer.self.ID {
		m.log.Warn("peer port: a connection for another node was turned away",
			"remote", c.RemoteAddr().String(), "from", g.from.ID, "to", g.to)
		return false
	}
	m.places.greeted(c, g.from.ID, layer != nil && layer.isMember(g.from.ID))
	if c.SetDeadline(time.Time{}) != nil || c.SetReadDeadline(time.Now().Add(kindLimit)) != nil {
		return false
	}
	switch {
	case kind[0] == kindPeer:
		m.Serve(&spoken{accepted: c}, g.from.ID, g.to)
		return true
	case layer == nil || g.to == "":
		return false
	}
	layer.Seen(g.from)
	return layer.hand(c, m.scanned(c, layer))
}

// scanned is a connection as Raft gets it.
func (m *Mux) scanned(c *accepted, layer *Layer) net.Conn {
	return &rpcConn{
		Conn: &spoken{accepted: c},
		scan: newScanner(c.from, layer.maxSnapshot),
		turns: func() chan struct{} {
			if layer.isMember(c.from) {
				return m.turns.members
			}
			return m.turns.others
		},
		refuse: func(err error) {
			m.log.Warn("peer port: connection dropped", "remote", c.RemoteAddr().String(), "from", c.from, "error", err)
		},
	}
}

// current is the Layer of the running Raft instance, nil when there is none.
func (m *Mux) current() *Layer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.layer
}

// greetOther logs a connection that is not from a node. first is its first byte, which has been read. A client that
// asks whether a server is there is told that this is a peer port.
func (m *Mux) greetOther(c *accepted, first byte) {
	if first == kindOld {
		m.log.Warn("peer port: a node of an earlier version, which can't work together with this one: stop all nodes, and start "+
			"them with one version", "remote", c.RemoteAddr().String())
		return
	}
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

// lostAfter is how long a connection for peer requests may have unacknowledged data before it is closed. Callers give
// up earlier; the limit is for callers that come when the network works again.
const lostAfter = 3 * time.Second

// DialPeer connects to another node's peer port for peer requests, in the name of the server from. name is that of the
// node which answered, if that was proved.
func DialPeer(ctx context.Context, network Network, s Security, from serverid.ID, to Peer) (nc net.Conn, name string, err error) {
	return dial(ctx, network, s, to.Address, greetingOf{kind: kindPeer, from: Peer{ID: from}, to: to.ID}, lostAfter)
}

// dial connects, makes the handshake and greets. lost bounds how long data may be unacknowledged; 0: as the system has it.
func dial(ctx context.Context, network Network, s Security, address string, g greetingOf, lost time.Duration) (net.Conn, string, error) {
	hello, err := g.bytes()
	if err != nil {
		return nil, "", err
	}
	raw, err := network.Dial(ctx, address)
	if err != nil {
		return nil, "", err
	}
	c, name, err := greetAt(ctx, raw, s, g.to, hello, lost)
	if err != nil {
		raw.Close()
		return nil, "", err
	}
	return c, name, nil
}

func greetAt(ctx context.Context, raw net.Conn, s Security, to serverid.ID, hello []byte, lost time.Duration) (net.Conn, string, error) {
	if tcp := rawconn.Of(raw); tcp != nil && lost > 0 { // which is not to be had of a connection with TLS
		if err := tcp.SetUserTimeout(lost); err != nil {
			return nil, "", err
		}
	}
	if d, ok := ctx.Deadline(); ok {
		if err := raw.SetDeadline(d); err != nil {
			return nil, "", err
		}
	}
	if s == nil {
		s = plain{}
	}
	c, name, err := s.Client(ctx, raw, to.Name())
	if err != nil {
		return nil, "", err
	}
	if _, err := c.Write(hello); err != nil {
		return nil, "", err
	}
	return c, name, raw.SetDeadline(time.Time{})
}

// spoken is an accepted connection after its greeting. A node connects when it has something to send, so the first byte
// has a time limit; after that byte there is none.
type spoken struct {
	*accepted
	spoke bool // only used by Read, which one goroutine calls
}

func (c *spoken) Read(p []byte) (int, error) {
	n, err := c.accepted.Read(p)
	if n > 0 && !c.spoke {
		c.spoke = true
		_ = c.SetReadDeadline(time.Time{}) // an error is the next Read's too
	}
	return n, err
}
