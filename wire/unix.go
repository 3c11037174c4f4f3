package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A UnixListener is the listener that [Address.Listen] returns for a unix socket.
type UnixListener struct {
	*net.UnixListener
	path string
	made os.FileInfo // the socket's file; nil if not known
	once sync.Once
}

// Close closes the listener. It removes the socket's file, unless another file has taken its place.
func (l *UnixListener) Close() error {
	l.once.Do(func() { // before the socket is closed: until then nobody takes it for dead, and its inode is not reused
		if now, err := os.Lstat(l.path); err == nil && l.made != nil && os.SameFile(l.made, now) {
			_ = os.Remove(l.path) // fails when the process has given up the right to do so
		}
	})
	return l.UnixListener.Close()
}

// makeUnix makes a unix socket where there is no file, and listens on it.
func makeUnix(ctx context.Context, path string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	ul := l.(*net.UnixListener)
	ul.SetUnlinkOnClose(false)
	made, _ := os.Lstat(path)
	return &UnixListener{UnixListener: ul, path: path, made: made}, nil
}

// listenUnix listens on a unix socket. It replaces a socket that is dead.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	defer lockDirectory(ctx, filepath.Dir(path))()
	l, err := makeUnix(ctx, path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	info, statErr := os.Lstat(path)
	switch {
	case statErr != nil:
		return nil, err
	case info.Mode().Type() != os.ModeSocket:
		return nil, fmt.Errorf("%w: %s is there and no socket", err, path)
	}
	var d net.Dialer
	nc, dialErr := d.DialContext(ctx, "unix", path)
	if dialErr == nil {
		nc.Close()
		return nil, fmt.Errorf("%w: another process listens there", err)
	}
	if !errors.Is(dialErr, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: and it can't be told whether another process listens there: %w", err, dialErr)
	}
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("replacing a socket that nobody listens on: %w", err)
	}
	return makeUnix(ctx, path)
}

// lockDirectory keeps other processes from listening in the directory until unlock is called: a process could take a
// socket that another has just made for dead, and replace it. Where locking is not possible, or takes long,
// lockDirectory does without.
func lockDirectory(ctx context.Context, path string) (unlock func()) {
	const patience, pause = time.Second, 5 * time.Millisecond
	dir, err := os.Open(path)
	if err != nil {
		return func() {}
	}
	for until := time.Now().Add(patience); ; {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) || ctx.Err() != nil || time.Now().After(until) {
			return func() { dir.Close() }
		}
		time.Sleep(pause)
	}
}
