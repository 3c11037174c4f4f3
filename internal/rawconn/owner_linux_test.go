package rawconn

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A unix socket on which another user listens is refused, unless that user was named.
func TestOwnedBy(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can listen as another user")
	}
	dir := t.TempDir()
	for d := dir; d != filepath.Dir(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o777)
	}
	const other = 12345
	listen := func(uid int, name string) func(context.Context) (net.Conn, error) {
		t.Helper()
		path := filepath.Join(dir, name)
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestListenHelper$")
		cmd.Env = append(os.Environ(), "OWNER_TEST_LISTEN="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL,
			Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		dial := func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			c, err := dial(t.Context())
			if err == nil {
				c.Close()
				return dial
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	theirs, ours := listen(other, "theirs"), listen(0, "ours")
	var owner *OwnerError
	if _, err := OwnedBy(theirs)(t.Context()); !errors.As(err, &owner) || owner.User != other {
		t.Errorf("another user's socket: %v", err)
	}
	for name, dial := range map[string]func(context.Context) (net.Conn, error){
		"one that was named": OwnedBy(theirs, 1, other), "our own": OwnedBy(ours)} {
		c, err := dial(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.Close()
	}
}

// TestListenHelper is what TestOwnedBy runs as another user.
func TestListenHelper(t *testing.T) {
	path := os.Getenv("OWNER_TEST_LISTEN")
	if path == "" {
		t.Skip("it is run by another test")
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}
