package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

func (a Address) listenDescriptor() (net.Listener, error) {
	if a.pair {
		nc, err := a.dialDescriptor()
		if err != nil {
			return nil, err
		}
		return newOnceListener(nc), nil
	}
	listening, err := a.listening()
	if err != nil {
		return nil, err
	}
	f, err := takeOver(a.read, a)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if listening {
		return net.FileListener(f)
	}
	nc, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return newOnceListener(nc), nil
}

func (a Address) dialDescriptor() (net.Conn, error) {
	if !a.pair {
		listening, err := a.listening()
		if err != nil {
			return nil, err
		}
		if listening {
			return nil, &addressError{a.String(), "the socket listens, it is not connected"}
		}
		f, err := takeOver(a.read, a)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return net.FileConn(f)
	}
	r, err := takeOver(a.read, a)
	if err != nil {
		return nil, err
	}
	w := r
	if a.write != a.read {
		if w, err = takeOver(a.write, a); err != nil {
			r.Close()
			return nil, err
		}
	}
	return &pairConn{r: r, w: w, address: a}, nil
}

// listening tells whether the descriptor, which must be a socket, accepts connections.
func (a Address) listening() (bool, error) {
	taken.Lock()
	defer taken.Unlock()
	if taken.numbers[a.read] {
		return false, errTaken(a.read, a)
	}
	v, err := unix.GetsockoptInt(a.read, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch {
	case errors.Is(err, unix.ENOTSOCK):
		return false, &addressError{a.String(), fmt.Sprintf(
			"descriptor %d is not a socket; a read and a write descriptor are FD:READ:WRITE", a.read)}
	case err != nil:
		return false, &addressError{a.String(), fmt.Sprintf("descriptor %d: %v", a.read, err)}
	}
	return v != 0, nil
}

// taken are the descriptors that have been taken over.
var taken struct {
	sync.Mutex
	numbers map[int]bool
}

// takeOver moves a descriptor to a new number that no child inherits. The old number becomes /dev/null, so that no file
// opened later gets it: whoever dials the address again must not get that file. (A connection with number 1 or 2 would
// also raise SIGPIPE when its peer is lost.)
func takeOver(fd int, a Address) (*os.File, error) {
	taken.Lock()
	defer taken.Unlock()
	if taken.numbers[fd] {
		return nil, errTaken(fd, a)
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, &addressError{a.String(), fmt.Sprintf("descriptor %d: %v", fd, err)}
	}
	if err := unix.SetNonblock(own, true); err != nil { // so that deadlines work
		unix.Close(own)
		return nil, os.NewSyscallError("setnonblock", err)
	}
	if err := discard(fd); err != nil {
		unix.Close(own)
		return nil, err
	}
	if taken.numbers == nil {
		taken.numbers = make(map[int]bool)
	}
	taken.numbers[fd] = true
	return os.NewFile(uintptr(own), a.String()), nil
}

// discard makes a descriptor /dev/null.
func discard(fd int) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if err := unix.Dup2(int(null.Fd()), fd); err != nil {
		return os.NewSyscallError("dup2", err)
	}
	if fd > 2 {
		unix.CloseOnExec(fd)
	}
	return nil
}

func errTaken(fd int, a Address) error {
	return &addressError{a.String(), fmt.Sprintf(
		"descriptor %d has been taken over already, which can be done once", fd)}
}

// A pairConn is a connection made of two descriptors, or of one that is no socket.
type pairConn struct {
	r, w    *os.File
	address Address
}

func (c *pairConn) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c *pairConn) Write(p []byte) (int, error) { return c.w.Write(p) }
func (c *pairConn) LocalAddr() net.Addr         { return c.address }
func (c *pairConn) RemoteAddr() net.Addr        { return c.address }

func (c *pairConn) Close() error {
	err := c.r.Close()
	if c.w != c.r {
		err = errors.Join(err, c.w.Close())
	}
	return err
}

// CloseWrite tells the peer that no more comes.
func (c *pairConn) CloseWrite() error {
	if c.w == c.r {
		return errors.ErrUnsupported
	}
	return c.w.Close()
}

func (c *pairConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
func (c *pairConn) SetReadDeadline(t time.Time) error  { return c.r.SetReadDeadline(t) }
func (c *pairConn) SetWriteDeadline(t time.Time) error { return c.w.SetWriteDeadline(t) }

// A onceListener accepts the one connection that was there from the start.
type onceListener struct {
	addr   net.Addr
	conn   chan net.Conn // holds the connection until it is accepted
	ended  chan struct{} // closed when the connection is
	closed chan struct{}
	once   sync.Once
}

func newOnceListener(nc net.Conn) *onceListener {
	l := &onceListener{nc.LocalAddr(), make(chan net.Conn, 1), make(chan struct{}), make(chan struct{}), sync.Once{}}
	l.conn <- &onceConn{Conn: nc, ended: l.ended}
	return l
}

func (l *onceListener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	case nc := <-l.conn:
		return nc, nil
	case <-l.ended:
		return nil, io.EOF
	}
}

// Close closes the connection too, if nobody has accepted it.
func (l *onceListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		select {
		case nc := <-l.conn:
			nc.Close()
		default:
		}
	})
	return nil
}

func (l *onceListener) Addr() net.Addr { return l.addr }

// A onceConn tells its listener when it is closed.
type onceConn struct {
	net.Conn
	ended chan struct{}
	once  sync.Once
}

func (c *onceConn) Close() error {
	defer c.once.Do(func() { close(c.ended) })
	return c.Conn.Close()
}

func (c *onceConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
