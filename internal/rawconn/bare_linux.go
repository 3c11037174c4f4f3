package rawconn

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Bare is an accepted connection that the runtime does not watch until somebody calls Read or Write. Before that it
// is cheap to have and to close; a [Poller] tells when there is something to read.
//
// One goroutine may read from it, and one may write to it, at a time. All other methods may be called at any time.
type Bare struct {
	local net.Addr

	mu         sync.Mutex // while it is held, fd is not closed and reused
	fd         int        // -1: closed
	held       bool
	file       *os.File // owns fd, once the runtime watches it
	waiting    *stream  // the stream of file
	failed     error    // why the runtime can't watch fd
	readUntil  time.Time
	writeUntil time.Time
}

var _ net.Conn = (*Bare)(nil)

// Hold makes Close leave the descriptor open until Release, so that a Poller's number for the connection stays valid.
// Until then Close only shuts the connection down: the Poller reports that, and ReadNow finds the end. ok is false when
// the connection has been closed.
func (b *Bare) Hold() (fd int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = b.fd >= 0
	return b.fd, b.held
}

// Release ends Hold. A connection that was closed since Hold has to be closed again.
func (b *Bare) Release() {
	b.mu.Lock()
	b.held = false
	b.mu.Unlock()
}

// Close implements net.Conn.
func (b *Bare) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.fd < 0:
		return net.ErrClosed
	case b.held:
		return os.NewSyscallError("shutdown", unix.Shutdown(b.fd, unix.SHUT_RDWR))
	case b.file != nil:
		b.fd = -1
		return b.file.Close()
	}
	fd := b.fd
	b.fd = -1
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("close", errno)
	}
	return nil
}

// CloseWrite tells the peer that no more comes.
func (b *Bare) CloseWrite() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fd < 0 {
		return net.ErrClosed
	}
	return os.NewSyscallError("shutdown", unix.Shutdown(b.fd, unix.SHUT_WR))
}

// ReadNow reads what has arrived. The error is syscall.EAGAIN when nothing has.
func (b *Bare) ReadNow(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fd < 0 {
		return 0, net.ErrClosed
	}
	return readNow(uintptr(b.fd), p)
}

// WriteNow is WriteNow of [Conn], but ignores the write deadline.
func (b *Bare) WriteNow(p []byte) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fd < 0 {
		return 0
	}
	t := transfer{b: p}
	t.write(uintptr(b.fd))
	return t.n
}

// Read implements net.Conn.
func (b *Bare) Read(p []byte) (int, error) {
	s, err := b.wait()
	if err != nil {
		return 0, err
	}
	return s.Read(p)
}

// Write implements net.Conn.
func (b *Bare) Write(p []byte) (int, error) {
	s, err := b.wait()
	if err != nil {
		return 0, err
	}
	return s.Write(p)
}

// wait makes the runtime watch the connection, if it does not yet.
func (b *Bare) wait() (*stream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.fd < 0:
		return nil, net.ErrClosed
	case b.waiting == nil && b.failed == nil:
		b.failed = b.watch()
	}
	return b.waiting, b.failed
}

func (b *Bare) watch() error {
	b.file = os.NewFile(uintptr(b.fd), "connection") // owns the descriptor from now on
	raw, err := b.file.SyscallConn()
	if err != nil {
		return err
	}
	if err := errors.Join(b.file.SetReadDeadline(b.readUntil), b.file.SetWriteDeadline(b.writeUntil)); err != nil {
		return err
	}
	b.waiting = newStream(raw)
	return nil
}

// LocalAddr implements net.Conn.
func (b *Bare) LocalAddr() net.Addr { return b.local }

// RemoteAddr implements net.Conn. The peers of unix sockets have no address.
func (b *Bare) RemoteAddr() net.Addr { return nil }

// SetDeadline implements net.Conn.
func (b *Bare) SetDeadline(t time.Time) error {
	return errors.Join(b.SetReadDeadline(t), b.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (b *Bare) SetReadDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readUntil = t
	if b.file == nil {
		return nil
	}
	return b.file.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (b *Bare) SetWriteDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writeUntil = t
	if b.file == nil {
		return nil
	}
	return b.file.SetWriteDeadline(t)
}
