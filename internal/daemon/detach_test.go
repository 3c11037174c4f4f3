package daemon

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/internal/testutil"
)

func TestDetachedDaemonIsOnItsOwn(t *testing.T) {
	dir := testutil.ShortDir(t)
	pid := detached(t, dir, "-pidfile", "run.pid", "-log-file", "log")
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("its session is %d (%v), not one of its own, %d", sid, err, pid)
	}
	for fd := range 3 {
		to, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/" + strconv.Itoa(fd))
		if err != nil || to != os.DevNull {
			t.Errorf("descriptor %d is %s (%v)", fd, to, err)
		}
	}
	if env, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm"); strings.TrimSpace(string(env)) == "exe" {
		t.Error("the process has lost its name")
	}
	info, err := os.Stat(filepath.Join(dir, "run.pid"))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the pidfile: %v, %v", info, err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "run.pid")); string(b) != strconv.Itoa(pid)+"\n" {
		t.Errorf("the pidfile holds %q, the process is %d", b, pid)
	}
	syscall.Kill(pid, syscall.SIGTERM)
	testutil.Ended(t, pid)
	if _, err := os.Lstat(filepath.Join(dir, "run.pid")); !os.IsNotExist(err) {
		t.Errorf("the pidfile is still there: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "up.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "log")); !strings.Contains(string(b), "msg=ready") || !strings.Contains(string(b), "msg=stopped") {
		t.Errorf("the log file holds %q", b)
	}
}

func TestDetachedDaemonThatCannotStartSaysSo(t *testing.T) {
	dir := testutil.ShortDir(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	cmd := testd(t, dir, "-daemon", "-listen", "IP:127.0.0.1:"+port, "-pidfile", "run.pid")
	out, err := cmd.CombinedOutput()
	if status(err) != 1 || !strings.Contains(string(out), "address already in use") {
		t.Errorf("status %d, said %q", status(err), out)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("it has left %v", left)
	}

	out, err = testd(t, dir, "-daemon", "-sockperms", "888").CombinedOutput()
	if status(err) != 2 || !strings.Contains(string(out), "-sockperms takes permissions in octal") {
		t.Errorf("status %d, said %q", status(err), out)
	}
}

// An inherited socket keeps its number in the process in the background.
func TestDetachedDaemonKeepsInheritedSockets(t *testing.T) {
	dir := testutil.ShortDir(t)
	path := filepath.Join(dir, "inherited.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	defer f.Close()

	cmd := testd(t, dir, "-daemon", "-listen", "FD:3")
	cmd.ExtraFiles = []*os.File{f}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pid := pidOf(path)
	if pid == 0 {
		t.Fatal("nobody answers on the inherited socket")
	}
	syscall.Kill(pid, syscall.SIGTERM)
	testutil.Ended(t, pid)
}
