package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

// Check refuses what Install would, without being told of an index.
func TestCheckRefusesWhatInstallDoes(t *testing.T) {
	key := sessionKey(1<<60, 7)
	data := []byte("data that are there once")
	path := writeFile(t, key, recordOf(key, makeValue([]byte("the id"), data)))
	if err := Check(path); err != nil {
		t.Errorf("a whole file: %v", err)
	}
	changeByte(t, path, data)
	if err := Check(path); !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("a changed record: %v, want %v", err, boltfile.ErrDamaged)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Check(empty); !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("an empty file: %v, want %v", err, boltfile.ErrDamaged)
	}
	if err := Check(empty + " is elsewhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v, want %v", err, os.ErrNotExist)
	}
}
