// Package rawconn reads and writes sockets at less cost than package net does, and can do so without waiting for a slow
// peer.
//
// [Conn] does so for connections that are opened or accepted as usual. A [Poller] watches many [Bare] connections
// without a goroutine for each, which is cheaper for short connections.
package rawconn

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// A Conn is a connection that is read and written through its descriptor. One goroutine may read from it, and one may
// write to it, at a time.
type Conn struct {
	net.Conn
	*stream
}

// Wrap returns a Conn of nc if there can be one, else nc.
func Wrap(nc net.Conn) net.Conn {
	if c := Of(nc); c != nil {
		return c
	}
	return nc
}

// Of returns a Conn of nc, or nc if it is one. It returns nil if nc is no plain socket, as with TLS. Deadlines and
// Close remain those of nc.
func Of(nc net.Conn) *Conn {
	var raw syscall.RawConn
	var err error
	switch nc := nc.(type) {
	case *Conn:
		return nc
	case *net.UnixConn:
		raw, err = nc.SyscallConn()
	case *net.TCPConn:
		raw, err = nc.SyscallConn()
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	return &Conn{Conn: nc, stream: newStream(raw)}
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) { return c.stream.Read(b) }

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) { return c.stream.Write(b) }

// SetUserTimeout bounds how long data sent over TCP may stay unacknowledged before the connection is lost (RFC 5482),
// in whole milliseconds. By default that is a quarter of an hour, and after a network failure TCP may wait as long
// again as the failure lasted before it sends anything. On systems other than Linux SetUserTimeout does nothing.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	var err error
	if controlErr := c.raw.Control(func(fd uintptr) { err = setUserTimeout(fd, d) }); controlErr != nil {
		return controlErr
	}
	return err
}

// CloseWrite tells the peer that no more comes.
func (c *Conn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// A stream reads and writes a descriptor.
type stream struct {
	raw     syscall.RawConn
	in, out transfer
	now     func(fd uintptr) bool // out.write, which always says that it is done
}

// A transfer is a read or a write under way.
type transfer struct {
	b   []byte
	n   int // of b
	err error
	try func(fd uintptr) (done bool)
}

func newStream(raw syscall.RawConn) *stream {
	s := &stream{raw: raw}
	s.in.try, s.out.try = s.in.read, s.out.write
	s.now = func(fd uintptr) bool { s.out.write(fd); return true }
	return s
}

func (s *stream) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t := &s.in
	t.b, t.n, t.err = b, 0, nil
	err := s.raw.Read(t.try)
	t.b = nil
	switch {
	case err != nil:
		return 0, err
	case t.err != nil:
		return 0, os.NewSyscallError("read", t.err)
	case t.n == 0:
		return 0, io.EOF
	}
	return t.n, nil
}

// ReadNow reads what has arrived, even past the read deadline. The error is syscall.EAGAIN when nothing has.
func (s *stream) ReadNow(b []byte) (n int, err error) {
	if failed := s.raw.Control(func(fd uintptr) { n, err = readNow(fd, b) }); failed != nil {
		return 0, failed
	}
	return n, err
}

func readNow(fd uintptr, b []byte) (int, error) {
	n, errno := read(fd, b)
	switch {
	case errno == syscall.EAGAIN:
		return 0, errno
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (s *stream) Write(b []byte) (int, error) {
	t := &s.out
	t.b, t.n, t.err = b, 0, nil
	err := s.raw.Write(t.try)
	t.b = nil
	if err == nil && t.err != nil {
		err = os.NewSyscallError("write", t.err)
	}
	return t.n, err
}

// WriteNow hands as much of b to the kernel as is possible without waiting, and returns how much. It returns no error:
// the next Write finds it. Past the write deadline it hands over nothing.
func (s *stream) WriteNow(b []byte) int {
	t := &s.out
	t.b, t.n, t.err = b, 0, nil
	_ = s.raw.Write(s.now)
	t.b = nil
	return t.n
}

// read is done when something was read, or the end, or an error.
func (t *transfer) read(fd uintptr) bool {
	n, err := read(fd, t.b)
	if err == syscall.EAGAIN {
		return false
	}
	if err != 0 {
		t.err = err
	} else {
		t.n = n
	}
	return true
}

// write is done when all has been written, or after an error.
func (t *transfer) write(fd uintptr) bool {
	for t.n < len(t.b) {
		n, err := write(fd, t.b[t.n:])
		switch err {
		case 0:
			t.n += n
		case syscall.EAGAIN:
			return false
		default:
			t.err = err
			return true
		}
	}
	return true
}
