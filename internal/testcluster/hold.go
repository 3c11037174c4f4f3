package testcluster

import (
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Hold stops the traffic to a node after a number of bytes, for instance in the middle of a snapshot. It holds the
// connections that are opened to the node after the Hold was made. Each takes that number of bytes, and no more until
// Release, or until one of its ends is closed.
type Hold struct {
	bytes    int
	fabric   *fabric
	to       string
	reached  chan struct{}
	released chan struct{}
	once     [2]sync.Once
}

// Hold begins to hold what is sent to the node. It replaces the node's Hold, if there was one.
func (n *Node) Hold(bytes int) *Hold {
	h := &Hold{bytes: bytes, fabric: n.c.fabric, to: n.Config.Name, reached: make(chan struct{}), released: make(chan struct{})}
	h.fabric.mu.Lock()
	h.fabric.holds[h.to] = h
	h.fabric.mu.Unlock()
	n.c.t.Cleanup(h.Release)
	return h
}

// Reached is closed when a connection is held: it has taken its bytes, and more are waiting.
func (h *Hold) Reached() <-chan struct{} { return h.reached }

// Release lets everything through.
func (h *Hold) Release() {
	h.once[0].Do(func() {
		h.fabric.mu.Lock()
		if h.fabric.holds[h.to] == h {
			delete(h.fabric.holds, h.to)
		}
		h.fabric.mu.Unlock()
		close(h.released)
	})
}

// write writes p to a connection as far as the Hold lets it.
func (h *Hold) write(c *conn, p []byte) (int, error) {
	select {
	case <-h.released:
		return c.Conn.Write(p)
	default:
	}
	now := min(len(p), h.bytes-c.sent)
	n, err := c.Conn.Write(p[:now])
	c.sent += n
	if err != nil || n == len(p) {
		return n, err
	}
	h.once[1].Do(func() { close(h.reached) })
	h.wait(c)
	rest, err := c.Conn.Write(p[n:])
	return n + rest, err
}

// wait waits until the connection may go on, or is closed.
func (h *Hold) wait(c *conn) {
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-h.released:
			return
		case <-c.closed:
			return
		case <-t.C:
			if closedThere(c.Conn) {
				return
			}
		}
	}
}

// closedThere tells whether the other end has closed the connection.
func closedThere(c net.Conn) (closed bool) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		closed = n == 0 && err == nil || err != nil && err != unix.EAGAIN && err != unix.EINTR
	})
	return closed || err != nil
}
