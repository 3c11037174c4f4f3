package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/distcache/distcache/internal/testutil"
)

// processStatus reads lines of /proc/PID/status.
func processStatus(t *testing.T, pid int) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		lines[name] = strings.Fields(value)
	}
	return lines
}

func TestUserIsDroppedTo(t *testing.T) {
	needRoot(t)
	for _, c := range []struct{ user, uid, gid, groups string }{
		{"nobody", "65534", "65534", "65534"},
		{"65534", "65534", "65534", "65534"},
		{"12345:54321", "12345", "54321", "54321"},
	} {
		t.Run(c.user, func(t *testing.T) {
			dir := testutil.ShortDir(t)
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := startTestd(t, dir, "-user", c.user, "-pidfile", "run.pid", "-dir", "data/own", "-private", "UNIX:admin.sock", "-sockperms", "666")
			tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", cmd.Process.Pid))
			if err != nil || len(tasks) < 2 {
				t.Fatalf("threads: %v, %v", tasks, err)
			}
			for _, task := range tasks {
				var tid int
				fmt.Sscan(task.Name(), &tid)
				st := processStatus(t, tid)
				for _, id := range st["Uid"] {
					if id != c.uid {
						t.Errorf("thread %d has the users %v", tid, st["Uid"])
					}
				}
				for _, id := range st["Gid"] {
					if id != c.gid {
						t.Errorf("thread %d has the groups %v", tid, st["Gid"])
					}
				}
				if got := strings.Join(st["Groups"], " "); got != c.groups {
					t.Errorf("thread %d has the supplementary groups %s", tid, got)
				}
				if got := st["CapEff"][0]; strings.Trim(got, "0") != "" {
					t.Errorf("thread %d has the capabilities %s", tid, got)
				}
			}
			for name, want := range map[string]struct {
				uid  string
				mode os.FileMode
			}{
				"run.pid":       {"0", 0o644},
				"up.sock":       {"0", 0o666 | os.ModeSocket},
				"admin.sock":    {c.uid, 0o600 | os.ModeSocket},
				"data":          {"0", 0o755 | os.ModeDir},
				"data/own":      {c.uid, 0o700 | os.ModeDir},
				"data/own/mine": {c.uid, 0o600},
			} {
				info, err := os.Lstat(filepath.Join(dir, name))
				if err != nil {
					t.Error(err)
					continue
				}
				if got := fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid); got != want.uid || info.Mode() != want.mode {
					t.Errorf("%s is user %s's, %v; want %s's, %v", name, got, info.Mode(), want.uid, want.mode)
				}
			}
			// Only root could remove these three, and the process is root's no longer.
			cmd.Process.Signal(syscall.SIGTERM)
			testutil.Ended(t, cmd.Process.Pid)
			for _, name := range []string{"run.pid", "up.sock", "admin.sock"} {
				if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
					t.Errorf("%s is still there: %v", name, err)
				}
			}
		})
	}
}

func TestUserThatIsNone(t *testing.T) {
	for user, want := range map[string]string{
		"no-such-user":        `there is no user "no-such-user"`,
		"4000000":             "give UID:GROUP",
		"root:no-such-group":  `there is no group "no-such-group"`,
		"no-such-user:nobody": `there is no user "no-such-user"`,
	} {
		out, err := testd(t, testutil.ShortDir(t), "-daemon", "-user", user, "-listen", "UNIX:up.sock").CombinedOutput()
		if status(err) != 2 || !strings.Contains(string(out), want) {
			t.Errorf("-user %s: status %d, said %q", user, status(err), out)
		}
	}
}

func TestOnlyRootBecomesAnother(t *testing.T) {
	needRoot(t)
	cmd := testd(t, "/", "-user", "daemon", "-listen", "UNIX:/nonexistent/up.sock")
	// The test binary is where nobody may not go, so it is lent.
	dir := testutil.ShortDir(t)
	os.Chmod(dir, 0o755)
	b, err := os.ReadFile(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = filepath.Join(dir, "testd")
	if err := os.WriteFile(cmd.Path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if status(err) != 1 || !strings.Contains(string(out), "only root can become another user") {
		t.Errorf("status %d, said %q", status(err), out)
	}
}
