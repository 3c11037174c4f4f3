package daemon

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distcache/distcache/internal/testutil"
)

func TestShutOut(t *testing.T) {
	perms := func(mode fs.FileMode) *fs.FileMode { return &mode }
	for _, test := range []struct {
		options Options
		mode    fs.FileMode
		want    string
	}{
		{Options{sockPerms: perms(0o660)}, 0o660, ""},
		{Options{sockPerms: perms(0o600)}, 0o600, ""},
		{Options{sockPerms: perms(0o222)}, 0o222, ""},
		{Options{sockPerms: perms(0o440)}, 0o440, "the sockets' owner, the sockets' group"},
		{Options{sockPerms: perms(0o640)}, 0o640, "the sockets' group"},
		{Options{sockPerms: perms(0o600), sockGroup: "www"}, 0o600, "the sockets' group"},
		{Options{sockGroup: "www"}, 0o755, "the sockets' group"}, // as the umask had it
		{Options{sockOwner: "www"}, 0o755, ""},
	} {
		if got := strings.Join(test.options.shutOut(test.mode), ", "); got != test.want {
			t.Errorf("%o with %+v: got %q, want %q", test.mode, test.options, got, test.want)
		}
	}
}

// What is odd is said once, where it can be read when the command has returned.
func TestAdvice(t *testing.T) {
	t.Setenv("TESTD_SOCKPERM", "660")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"permissions": {[]string{"-sockperms", "440"}, "the sockets' group can't connect"},
		"no socket":   {[]string{"-sockperms", "660"}, "has no effect\" flags=-sockperms"},
		"variable":    {nil, "variable=TESTD_SOCKPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testutil.ShortDir(t)
			args := append(test.args, "-daemon", "-log-file", "log", "-pidfile", "pid", "-listen")
			if name == "no socket" {
				args = append(args, "IP:127.0.0.1:0", "-private", "UNIX:up.sock")
			} else {
				args = append(args, "UNIX:up.sock")
			}
			if out, err := testd(t, dir, args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			killLater(t, filepath.Join(dir, "pid"))
			log, err := os.ReadFile(filepath.Join(dir, "log"))
			if err != nil || strings.Count(string(log), test.want) != 1 {
				t.Errorf("%v, and the log is without %q, or has it more than once:\n%s", err, test.want, log)
			}
		})
	}
}

func TestFilesOfFlags(t *testing.T) {
	set, opts := flagsForTest()
	if _, err := set.Parse([]string{"-pidfile", "/p", "-log-file", "/l"}, nil); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(opts.Files(), " "); got != "/p /l" {
		t.Errorf("got %s", got)
	}
}
