package rawconn

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Poller waits for many descriptors at once, with epoll. The runtime watches the epoll descriptor, so a goroutine in
// Wait takes no thread. One goroutine uses a Poller; another may call Close.
type Poller struct {
	file   *os.File
	raw    syscall.RawConn
	events [64]unix.EpollEvent
	found  int
	try    func(fd uintptr) bool
	one    unix.EpollEvent // the argument of control
	closed atomic.Bool
}

// noEpoll is the environment variable that forbids our own use of epoll, to find out whether it is the cause of a
// problem.
const noEpoll = "DISTCACHE_NO_EPOLL"

// NoEpoll tells whether the environment forbids our own use of epoll.
func NoEpoll() bool { return os.Getenv(noEpoll) != "" }

// NewPoller makes a Poller that watches nothing. After an error, the caller uses a goroutine for each connection.
func NewPoller() (*Poller, error) {
	if NoEpoll() {
		return nil, errors.New("epoll is ruled out by " + noEpoll)
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &Poller{file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetDeadline(time.Time{}) // fails if the runtime can't watch the descriptor
	}
	if err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	p.try = p.look
	return p, nil
}

// Close ends Wait, and all later calls fail. It may be called twice.
func (p *Poller) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	return p.file.Close()
}

// Add watches a descriptor: Wait returns it as long as there is something to read, or its end.
func (p *Poller) Add(fd int) error { return p.control(unix.EPOLL_CTL_ADD, fd) }

// Remove watches a descriptor no longer. Closing a descriptor also removes it.
func (p *Poller) Remove(fd int) error { return p.control(unix.EPOLL_CTL_DEL, fd) }

func (p *Poller) control(how, fd int) error {
	var errno syscall.Errno
	p.one = unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(fd)}
	err := p.raw.Control(func(ep uintptr) {
		_, _, errno = syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, ep, uintptr(how), uintptr(fd),
			uintptr(unsafe.Pointer(&p.one)), 0, 0)
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("epoll_ctl", errno)
	}
	return err
}

// Wait waits until descriptors have something to read, and returns them in fds[:0]. Past the deadline the error is
// os.ErrDeadlineExceeded, after Close it is os.ErrClosed.
func (p *Poller) Wait(fds []int) ([]int, error) {
	fds = fds[:0]
	if err := p.raw.Read(p.try); err != nil {
		if p.closed.Load() {
			err = os.ErrClosed
		}
		return fds, err
	}
	for _, e := range p.events[:p.found] {
		fds = append(fds, int(e.Fd))
	}
	return fds, nil
}

// SetDeadline sets the deadline of Wait.
func (p *Poller) SetDeadline(t time.Time) error { return p.file.SetReadDeadline(t) }

func (p *Poller) look(ep uintptr) bool {
	n, _, err := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, ep, uintptr(unsafe.Pointer(&p.events)),
		uintptr(len(p.events)), 0, 0, 0)
	p.found = 0
	if err == 0 {
		p.found = int(n)
	}
	return p.found > 0
}

// soPassRights is SO_PASSRIGHTS of Linux 6.16. 0 keeps a peer from sending descriptors: the kernel would have to close
// them for us, which may take as long as the peer likes.
const soPassRights = 83

// Listen makes the listener of a unix socket ready for Accept. The descriptor fd, for Add, remains the listener's.
func Listen(l syscall.Conn) (raw syscall.RawConn, fd int, err error) {
	if raw, err = l.SyscallConn(); err != nil {
		return nil, 0, err
	}
	control := raw.Control(func(s uintptr) {
		fd = int(s)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, soPassRights, 0) // not known to older kernels
		err = unix.SetNonblock(fd, true)                             // an inherited socket may be blocking
	})
	return raw, fd, errors.Join(control, err)
}

// Accept takes the next connection of a listener without waiting. The error is syscall.EAGAIN when there is none.
func Accept(l syscall.RawConn, local net.Addr) (*Bare, error) {
	var fd uintptr
	var errno syscall.Errno
	err := l.Control(func(s uintptr) {
		fd, _, errno = syscall.RawSyscall6(unix.SYS_ACCEPT4, s, 0, 0, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
	})
	switch {
	case err != nil:
		return nil, err
	case errno == syscall.EAGAIN:
		return nil, errno
	case errno != 0:
		return nil, os.NewSyscallError("accept4", errno)
	}
	return &Bare{fd: int(fd), local: local}, nil
}
