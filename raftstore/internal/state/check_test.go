package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/entry"
)

// Check refuses what Install would, without being told of an index.
func TestCheckRefusesWhatInstallDoes(t *testing.T) {
	key := sessionKey(1<<60, 7)
	data := []byte("data that are there once")
	path := writeFile(t, key, recordOf(key, makeValue([]byte("the id"), data, false)))
	m := newMachine(t, never)
	if err := m.Check(path); err != nil {
		t.Errorf("a whole file: %v", err)
	}
	changeByte(t, path, data)
	if err := m.Check(path); !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("a changed record: %v, want %v", err, boltfile.ErrDamaged)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Check(empty); !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("an empty file: %v, want %v", err, boltfile.ErrDamaged)
	}
	if err := m.Check(empty + " is elsewhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v, want %v", err, os.ErrNotExist)
	}
}

// What Check has read is installed, also under another name, and another file in its place is not taken for it.
func TestInstallAfterCheck(t *testing.T) {
	dir := t.TempDir()
	file := func(name, id string) string {
		path := filepath.Join(dir, name)
		other := openAt(t, path, never)
		do(t, other, entry.Header{Stamp: 1}, adding(id, 60_000, "data of "+id))
		flush(t, other)
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	m := newMachine(t, never)
	for _, replaced := range []bool{false, true} {
		incoming, received := file("incoming", "one"), filepath.Join(dir, "received")
		if err := m.Check(incoming); err != nil {
			t.Fatal(err)
		}
		want := "one"
		if replaced {
			incoming, want = file("another", "two"), "two"
		}
		if err := errors.Join(os.Rename(incoming, received), m.Install(received)); err != nil {
			t.Fatal(err)
		}
		if m.Len() != 1 || get(t, m, want) != "data of "+want {
			t.Errorf("replaced %v: there are %d sessions, and %q", replaced, m.Len(), get(t, m, want))
		}
	}
}
