package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/internal/testutil"
)

// A log that is a pipe needs a reader: a service that waits for one would not even hear that it is to stop.
func TestLogPipeWithoutAReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openToAppend(path, 0o640, true); !errors.Is(err, errNoReader) {
		t.Errorf("opened a pipe that nobody reads from: %v", err)
	}
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := openToAppend(path, 0o640, true)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if flags, err := unix.FcntlInt(w.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("lines are refused when the pipe is full: %v", err)
	}
}

// Root opens the log of a service that becomes another user: that user may have put a link in its place.
func TestLogLinks(t *testing.T) {
	needRoot(t)
	for _, try := range []struct {
		who     string
		owner   int // of the directory
		perms   os.FileMode
		linker  int
		follows bool
	}{
		{"root's link in root's directory", 0, 0o755, 0, true},
		{"the user's directory", 65534, 0o755, 0, false},
		{"a directory that all may write to", 0, 0o777, 0, false},
		{"the user's link", 0, 0o755, 65534, false},
	} {
		dir := t.TempDir()
		log, target := filepath.Join(dir, "log"), filepath.Join(t.TempDir(), "target")
		err := errors.Join(os.Symlink(target, log), os.Lchown(log, try.linker, -1), os.Chown(dir, try.owner, -1), os.Chmod(dir, try.perms))
		if err != nil {
			t.Fatal(err)
		}
		f, err := openToAppend(log, 0o640, false)
		if (err == nil) != try.follows || err != nil && !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("%s: %v", try.who, err)
		}
		if _, there := os.Stat(target); (there == nil) != try.follows {
			t.Errorf("%s: the target: %v", try.who, there)
		}
		if f != nil {
			f.Close()
		}
		again, err := openToAppend(log, 0o640, true)
		if err != nil {
			t.Errorf("%s: not followed by its own user: %v", try.who, err)
			continue
		}
		again.Close()
	}
}

// What keeps a service from starting is in its log too: whoever looks there may not see its standard error.
func TestLogFileHasWhyItDidNotStart(t *testing.T) {
	for _, more := range [][]string{nil, {"-daemon"}} {
		dir := testutil.ShortDir(t)
		taken := filepath.Join(dir, "taken")
		if err := os.WriteFile(taken, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := testd(t, dir, append(more, "-log-file", "log", "-listen", "UNIX:"+taken)...).CombinedOutput()
		if status(err) != 1 || !strings.Contains(string(out), "address already in use") {
			t.Errorf("%v: status %d, said %q", more, status(err), out)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, "log")); strings.Count(string(b), "address already in use") != 1 {
			t.Errorf("%v: the log file holds %q", more, b)
		}
	}
}

// A stuckOutput is on a disk that hangs.
type stuckOutput struct {
	stream
	entered, release chan struct{}
}

func (s stuckOutput) reopen() error {
	close(s.entered)
	<-s.release
	return nil
}

func TestEndsWhileTheLogFileCannotBeOpened(t *testing.T) {
	out := stuckOutput{entered: make(chan struct{}), release: make(chan struct{})}
	defer close(out.release)
	_, done := (&Options{logFile: "log"}).signals(t.Context(), &Process{Log: testLog(t, new(strings.Builder)), output: out})
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-out.entered
	done()
}

// A fullDisk refuses lines as long as it is full.
type fullDisk struct {
	strings.Builder
	full bool
}

func (f *fullDisk) Write(b []byte) (int, error) {
	if f.full {
		return 0, syscall.ENOSPC
	}
	return f.Builder.Write(b)
}

func TestLogOnAFullDisk(t *testing.T) {
	disk := &fullDisk{full: true}
	log := testLog(t, disk)
	for n := range 3 {
		log.Info("line", "n", n)
	}
	disk.full = false
	log.Info("after")
	log.Info("at last")
	if got := disk.String(); strings.Count(got, "left out") != 1 || !strings.Contains(got, "lines=3") || !strings.Contains(got, "msg=after") {
		t.Errorf("got %s", got)
	}
}
