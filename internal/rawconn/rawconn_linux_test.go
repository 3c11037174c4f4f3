package rawconn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/internal/testutil"
)

func listen(t *testing.T) (*net.UnixListener, syscall.RawConn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return l, raw
}

func dial(t *testing.T, l net.Listener) *net.UnixConn {
	t.Helper()
	nc, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(testutil.Patience))
	return nc.(*net.UnixConn)
}

// pair returns both ends of a connection.
func pair(t *testing.T) (*Bare, *net.UnixConn) {
	t.Helper()
	l, raw := listen(t)
	client := dial(t, l)
	b, err := Accept(raw, l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, client
}

func TestAccept(t *testing.T) {
	l, raw := listen(t)
	if _, err := Accept(raw, l.Addr()); err != syscall.EAGAIN {
		t.Errorf("nobody there: %v", err)
	}
	dial(t, l)
	b, err := Accept(raw, l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.LocalAddr() != l.Addr() || b.RemoteAddr() != nil {
		t.Errorf("from %v to %v", b.RemoteAddr(), b.LocalAddr())
	}
	l.Close()
	if _, err := Accept(raw, l.Addr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestBareNow(t *testing.T) {
	b, client := pair(t)
	buf := make([]byte, 10)
	if _, err := b.ReadNow(buf); err != syscall.EAGAIN {
		t.Errorf("nothing there: %v", err)
	}
	client.Write([]byte("hello"))
	if n, err := b.ReadNow(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if n := b.WriteNow([]byte("answer")); n != 6 {
		t.Errorf("%d bytes taken", n)
	}
	if n, err := client.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	much := make([]byte, 8<<20)
	if n := b.WriteNow(much); n <= 0 || n >= len(much) {
		t.Errorf("%d bytes taken of %d", n, len(much))
	}
	client.Close()
	if _, err := b.ReadNow(buf); err == nil || err == syscall.EAGAIN {
		t.Errorf("after the peer has closed: %v", err)
	}
	if n := b.WriteNow(buf); n != 0 {
		t.Errorf("%d bytes taken by nobody", n)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := b.ReadNow(buf); err != net.ErrClosed {
		t.Errorf("closed: %v", err)
	}
	if n := b.WriteNow(buf); n != 0 {
		t.Errorf("%d bytes taken when closed", n)
	}
	if err := b.Close(); err != net.ErrClosed {
		t.Errorf("closed again: %v", err)
	}
}

// Read and Write of a Bare wait as those of any connection do.
func TestBareWaits(t *testing.T) {
	b, client := pair(t)
	b.SetReadDeadline(time.Now().Add(-time.Second)) // before the runtime watches the connection
	buf := make([]byte, 10)
	if _, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	b.SetDeadline(time.Time{})
	go client.Write([]byte("hello"))
	if n, err := b.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("%q, %v", buf[:n], err)
	}

	much := bytes.Repeat([]byte("0123456789abcdef"), 1<<19)
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(client)
		got <- all
	}()
	if n, err := b.Write(much); n != len(much) || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := b.CloseWrite(); err != nil {
		t.Error(err)
	}
	if all := <-got; !bytes.Equal(all, much) {
		t.Errorf("%d bytes came, not the same", len(all))
	}

	b.SetWriteDeadline(time.Now().Add(-time.Second))
	if _, err := b.Write(much); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	failed := make(chan error)
	go func() {
		_, err := b.Read(buf)
		failed <- err
	}()
	b.Close()
	if err := <-failed; err == nil {
		t.Error("read from a closed connection")
	}
}

// A connection that is held keeps its descriptor when it is closed, and its end can be read.
func TestBareHold(t *testing.T) {
	b, client := pair(t)
	fd, ok := b.Hold()
	if !ok {
		t.Fatal("closed")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := b.ReadNow(make([]byte, 1)); err != io.EOF {
		t.Errorf("ReadNow: %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer: %v", err)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		t.Errorf("the descriptor: %v", err)
	}
	b.Release()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, ok := b.Hold(); ok {
		t.Error("held, and closed")
	}
}

func TestPoller(t *testing.T) {
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	b, client := pair(t)
	fd, _ := b.Hold()
	if err := p.Add(fd); err != nil {
		t.Fatal(err)
	}
	p.SetDeadline(time.Now().Add(-time.Second))
	if _, err := p.Wait(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	p.SetDeadline(time.Now().Add(testutil.Patience))
	wait := func(why string) {
		t.Helper()
		if fds, err := p.Wait(nil); err != nil || len(fds) != 1 || fds[0] != fd {
			t.Errorf("%s: %v, %v", why, fds, err)
		}
	}
	go client.Write([]byte("x"))
	wait("to read")
	wait("still to read")
	b.ReadNow(make([]byte, 10))
	b.Close()
	wait("closed")
	if err := p.Remove(fd); err != nil {
		t.Error(err)
	}
	ended := make(chan error)
	go func() {
		_, err := p.Wait(nil)
		ended <- err
	}()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if err := p.Add(fd); err == nil {
		t.Error("added to what is closed")
	}
	if err := p.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestConn(t *testing.T) {
	l, _ := listen(t)
	client := Of(dial(t, l))
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	server := Of(nc)
	if client == nil || server == nil {
		t.Fatal("not of a unix socket")
	}
	if Of(&net.IPConn{}) != nil {
		t.Error("of another kind")
	}
	much := bytes.Repeat([]byte("0123456789abcdef"), 1<<19)
	go func() {
		taken := server.WriteNow(much)
		if taken <= 0 || taken >= len(much) {
			t.Errorf("%d bytes taken at once", taken)
		}
		if n, err := server.Write(much[taken:]); n != len(much)-taken || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		server.CloseWrite()
	}()
	all, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(all, much) {
		t.Errorf("%d bytes, %v", len(all), err)
	}
	server.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	client.Close()
	if _, err := server.Write(much); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("to nobody: %v", err)
	}
	server.Close()
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if n := server.WriteNow(much); n != 0 {
		t.Errorf("%d bytes taken when closed", n)
	}
}

// The kernel gives a connection up when what was sent is not acknowledged in time.
func TestUserTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := Of(nc)
	if err := c.SetUserTimeout(1500 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	var got int
	if err := c.raw.Control(func(fd uintptr) {
		got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil || got != 1500 {
		t.Errorf("%d ms, %v", got, err)
	}
	nc.Close()
	if err := c.SetUserTimeout(time.Second); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// A descriptor may have been made blocking, as the method File of a connection does. Reads and writes must not block in
// the kernel then: that would stop the whole process.
func TestNeverBlocks(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[0])
	defer syscall.Close(fds[1])
	b := make([]byte, 1<<16)
	if _, err := read(uintptr(fds[0]), b); err != syscall.EAGAIN {
		t.Errorf("read: %v", err)
	}
	for err := syscall.Errno(0); err != syscall.EAGAIN; {
		if _, err = write(uintptr(fds[0]), b); err != 0 && err != syscall.EAGAIN {
			t.Fatalf("write: %v", err)
		}
	}
}

// No descriptors are received from a peer, if the kernel can refuse them.
func TestNoDescriptors(t *testing.T) {
	l, _ := listen(t)
	_, fd, err := Listen(l)
	if err != nil {
		t.Fatal(err)
	}
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, soPassRights); err != nil {
		t.Skipf("this kernel has no SO_PASSRIGHTS: %v", err)
	} else if on != 0 {
		t.Error("they are taken")
	}
	client := dial(t, l)
	if _, _, err := client.WriteMsgUnix([]byte("x"), unix.UnixRights(fd), nil); !errors.Is(err, syscall.EPERM) {
		t.Errorf("sent: %v", err)
	}
}
