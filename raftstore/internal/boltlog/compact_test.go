package boltlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// half makes a log that is more than half free, and closes it.
func half(t *testing.T) (path string, m *model) {
	t.Helper()
	l, m := newLog(t, 1, 40)
	for m.last-m.first < 2000 {
		if err := m.append(100)(l); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.remove(m.first, m.last-700)(l); err != nil {
		t.Fatal(err)
	}
	m.do(t, l, 10)
	if l.Free() == 0 {
		t.Fatal("it is not more than half free")
	}
	shut(t, l)
	return l.path, m
}

// same opens a log, which must be what the model is, and no longer half free.
func same(t *testing.T, path string, m *model) {
	t.Helper()
	l := openAt(t, path)
	m.same(t, l)
	nothingLeft(t, path)
	if l.Free() > 0 {
		t.Errorf("%d bytes are free", l.Free())
	}
	shut(t, l)
}

// A file that is more than half free is smaller after it was opened, and holds the same.
func TestCompact(t *testing.T) {
	t.Parallel()
	path, m := half(t)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(path, Options{}) // as for a conversion
	if err != nil {
		t.Fatal(err)
	}
	free := l.Free()
	m.same(t, l)
	shut(t, l)
	l = openAt(t, path)
	m.same(t, l)
	inUse(t, path)
	size, used, err := check(path)
	if err != nil || size > before.Size()-free || l.Free() != 0 || freeIn(size, used) != 0 {
		t.Errorf("%d bytes, %d in use, of %d, of which %d were free (%v)", size, used, before.Size(), free, err)
	}
	m.do(t, l, 40)
	shut(t, l)
	same(t, path, m)
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

func TestFreeIn(t *testing.T) {
	const most = 1 << 40
	for _, c := range []struct{ size, used, want int64 }{
		{0, 0, 0},
		{leastFree, 0, leastFree},
		{leastFree, 1, 0},
		{most, most / 2, 0},
		{most, most/2 - 1, most/2 + 1},
	} {
		if got := freeIn(c.size, c.used); got != c.want {
			t.Errorf("%d of %d bytes are in use: %d are given back, want %d", c.used, c.size, got, c.want)
		}
	}
}

// A crash leaves the old file with some of the copy beside it, or with all of it, or the copy in its place.
func TestCrash(t *testing.T) {
	t.Parallel()
	path, m := half(t)
	image := func() string {
		to := filepath.Join(t.TempDir(), "log")
		copyFile(t, path, to)
		return to
	}
	whole := image()
	same(t, whole, m)
	for _, part := range []int64{0, 100, 100_000, 1 << 40} {
		old := image()
		copyFile(t, whole, old+copySuffix)
		fi, err := os.Stat(whole)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(old+copySuffix, min(part, fi.Size())); err != nil {
			t.Fatal(err)
		}
		same(t, old, m)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A copy that can't be made, or not to its end, is a warning, and the log is what it was.
func TestNoRoom(t *testing.T) {
	path, m := half(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	for _, room := range []uint64{0, 1 << 20} {
		var said strings.Builder
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: room, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
		err := compact(path, hclog.New(&hclog.LoggerOptions{Output: &said}))
		if err := errors.Join(err, unix.Setrlimit(unix.RLIMIT_FSIZE, &old)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said.String(), "could not be made smaller") ||
			!strings.Contains(said.String(), unix.EFBIG.Error()) {
			t.Errorf("room for %d bytes: it said %q", room, said.String())
		}
		nothingLeft(t, path)
		l, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		m.same(t, l)
		if l.Free() == 0 {
			t.Error("it was compacted")
		}
		shut(t, l)
	}
	same(t, path, m)
}
