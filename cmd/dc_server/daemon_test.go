package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
)

// daemonCommand is dc_server as a start script runs it.
func daemonCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, append(args, "-daemon")...)
	cmd.Env = append(os.Environ(), asServer+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

func TestDaemonOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user: run this test as root")
	}
	dir := testutil.ShortDir(t) // its parent is open to others
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	pidFile, socket, data := filepath.Join(dir, "pid"), filepath.Join(dir, "sock"), filepath.Join(dir, "data")
	args := []string{"-listen", "UNIX:" + socket, "-sockperms", "666", "-user", "nobody", "-pidfile", pidFile,
		"-data", data, "-node", "n1", "-timeout", long, "-log-file", filepath.Join(dir, "log")}
	if out, err := daemonCommand(t, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { // also when something is wrong below
		syscall.Kill(pid, syscall.SIGKILL)
		testutil.Ended(t, pid)
	}()
	for path, want := range map[string]struct {
		uid  uint32
		mode os.FileMode
	}{
		pidFile:                           {0, 0o644},
		socket:                            {0, 0o666},
		data:                              {65534, 0o700},
		filepath.Join(data, "state.db"):   {65534, 0o600},
		filepath.Join(data, "admin.sock"): {65534, 0o600},
	} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Error(err)
		} else if st := info.Sys().(*syscall.Stat_t); st.Uid != want.uid || info.Mode().Perm() != want.mode {
			t.Errorf("%s is user %d's, %v", path, st.Uid, info.Mode())
		}
	}
	client, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	wantAnswer(t, client, wire.OpAdd, wire.AppendAdd(nil, []byte("id"), []byte("data"), wire.MaxTimeout), "\x00")

	// The same once more: it says why not, and leaves the first alone.
	out, err := daemonCommand(t, args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("held by process %d", pid)) {
		t.Errorf("a second one: %v, %s", err, out)
	}
	wantAnswer(t, client, wire.OpGet, []byte("id"), "data")

	syscall.Kill(pid, syscall.SIGTERM)
	testutil.Ended(t, pid)
	for _, path := range []string{pidFile, socket, filepath.Join(data, "admin.sock")} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

func TestDaemonThatCannotStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		args   []string
		status int
		say    string
	}{
		{[]string{"-memory", "-listen", "IP:" + l.Addr().String()}, 1, "dc_server: -listen IP:" + l.Addr().String()},
		{[]string{"-listen", "IP:127.0.0.1:0", "-node", "n1", "-data", "/proc/data"}, 1, "dc_server: data directory: "},
		{[]string{"-memory"}, 2, "dc_server: -listen is needed"},
		{[]string{"-memory", "-listen", "IP:127.0.0.1:0", "-pidfile", "/nonexistent/pid"}, 1, "dc_server: -pidfile: "},
		{[]string{"-memory", "-listen", "IP:127.0.0.1:0", "-user", "no-such-user"}, 2, `there is no user "no-such-user"`},
	} {
		log := filepath.Join(t.TempDir(), "log")
		cmd := daemonCommand(t, append(c.args, "-log-file", log)...)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != c.status || !strings.Contains(string(out), c.say) {
			t.Errorf("%v: %v, %s", c.args, err, out)
		}
	}
}
