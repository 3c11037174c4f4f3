package state

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

// FuzzStateFile gives the check of a state file, which another node may have sent, what was changed in one. The check
// must refuse the file or give contents that fit together; it must not panic.
func FuzzStateFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "state.db")
	m, err := Open(path, Options{})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := m.Apply(1, 1, encode(at(1), opening(5), adding("a", 1000, "data"), adding("b", 2000, "more data"))); err != nil {
		f.Fatal(err)
	}
	if err := m.Close(); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	used := len(bytes.TrimRight(good, "\x00")) // the pages behind are free
	f.Add(0, uint32(0))
	f.Add(4096+8, uint32(1))
	f.Add(used-3, uint32(0xffff))
	target := filepath.Join(f.TempDir(), "changed.db")
	f.Fuzz(func(t *testing.T, where int, change uint32) {
		b := bytes.Clone(good)
		for i := range 4 {
			b[(uint(where)+uint(i))%uint(used)] ^= byte(change >> (8 * i))
		}
		if err := os.WriteFile(target, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := read(target)
		if err != nil {
			if !errors.Is(err, boltfile.ErrDamaged) && !errors.Is(err, ErrForeign) {
				t.Errorf("at %d: %v", where, err)
			}
			return
		}
		if c.index.len() > 2 || c.plain > c.index.len() || c.applied > 1 && change != 0 {
			t.Errorf("at %d: %d sessions, applied index %d", where, c.index.len(), c.applied)
		}
	})
}
