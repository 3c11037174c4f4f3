package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/raftstore"
)

// A start that fails for what it was told leaves nothing behind.
func TestMistakesMakeNoDirectory(t *testing.T) {
	for args, status := range map[string]int{
		"-insecure-peer -peer nosuch.invalid:7001":                    1,
		"-peer nosuch.invalid:7001":                                   2,
		"-node n/1":                                                   2,
		"-node n1 -cluster n1=h1:1,n1=h2:1":                           2,
		"-node n1 -cluster n1=h1:1,n2=h1:1":                           2,
		"-node n1 -listen IP:127.0.0.1:0 -listen FD:77 -listen FD:77": 2,
	} {
		dir := filepath.Join(t.TempDir(), "data")
		err := run(t.Context(), append(strings.Fields(args), "-listen", "IP:127.0.0.1:0", "-data", dir), io.Discard,
			io.Discard)
		if code := config.Exit(program, err, io.Discard); code != status {
			t.Errorf("%s: exit status %d, %v", args, code, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the data directory: %v", args, err)
		}
	}
}

func TestDirectoryOfOtherFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"-listen", "IP:127.0.0.1:0", "-data", dir}, io.Discard, io.Discard)
	var stderr bytes.Buffer
	if code := config.Exit(program, err, &stderr); code != 3 || !errors.Is(err, raftstore.ErrForeign) {
		t.Errorf("exit status %d, %v", code, err)
	}
	if want := "it has thesis.txt, and no node.json\n-data takes a directory for this node " +
		"alone"; !strings.Contains(stderr.String(), want) {
		t.Errorf("got %s", &stderr)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

// The files that the flags name may be in the data directory, and be there first.
func TestDirectoryWithItsOwnLog(t *testing.T) {
	dir := t.TempDir()
	settings := filepath.Join(dir, "dc_server.conf")
	if err := os.WriteFile(settings, []byte("listen IP:127.0.0.1:0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := parse([]string{"-config", settings, "-data", dir, "-log-file", filepath.Join(dir, "log"), "-pidfile",
		filepath.Join(dir, "pid")}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"log", "pid"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := opts.checkPlace(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is said of the admin socket in the data directory is said of the directory, which is what was given.
func TestAdminSocketThatIsRefused(t *testing.T) {
	opts, err := parse([]string{"-listen", "IP:127.0.0.1:0", "-data", "/d/x/"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{opts: opts}
	err = s.cannotAdmin(opts.admin[0], &os.SyscallError{Syscall: "bind", Err: syscall.EACCES})
	if got := err.Error(); got != "data directory: /d/x/: permission denied" {
		t.Errorf("got %s", got)
	}
	var hint *config.HintError
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint, "-data") {
		t.Errorf("got %v", err)
	}
	if err := s.cannotAdmin(opts.admin[0], syscall.EADDRINUSE); !errors.Is(err, raftstore.ErrInUse) {
		t.Errorf("got %v", err)
	}
}

func TestDirectoryThatOthersSee(t *testing.T) {
	dir := t.TempDir()
	for mode, warned := range map[os.FileMode]bool{0o777: true, 0o750: true, 0o700: false} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		opts, err := parse([]string{"-listen", "IP:127.0.0.1:0", "-node", "n1", "-data", dir}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		b, err := openDurable(opts, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.close(); err != nil {
			t.Error(err)
		}
		if got := strings.Count(log.String(), "it should have mode 700"); got != 1 && warned || got != 0 && !warned {
			t.Errorf("mode %o: warned %d times", mode, got)
		}
	}
}
