package state

import (
	"path/filepath"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// Machines with the same entries have the same digest, also one that was closed, or abandoned and given the rest again.
func TestDigest(t *testing.T) {
	entries := [][]byte{
		encode(entry.Header{Stamp: 1000}, adding("a", 5000, "1"), adding("b", 50, "2")),
		encode(entry.Header{Stamp: 1100}, adding("c", 5000, "3"), removing("a")),
	}
	apply := func(m *Machine) uint64 {
		for i, e := range entries {
			if _, err := m.Apply(uint64(i+1), 1, e); err != nil {
				t.Fatal(err)
			}
		}
		applied, digest := m.Digest()
		if applied != 2 {
			t.Fatalf("applied is %d", applied)
		}
		return digest
	}
	want := apply(newMachine(t, never))
	path := filepath.Join(t.TempDir(), "state.db")
	for i, end := range []func(*Machine) error{(*Machine).Abandon, (*Machine).Close, (*Machine).Close} {
		m := openAt(t, path, never)
		if applied, _ := m.Applied(); applied != []uint64{0, 0, 2}[i] {
			t.Errorf("start %d: %d entries are in the file", i, applied)
		}
		if got := apply(m); got != want {
			t.Errorf("start %d: digest %x, want %x", i, got, want)
		}
		if err := end(m); err != nil {
			t.Error(err)
		}
	}
	m := newMachine(t, never)
	apply(m)
	m.Apply(3, 1, encode(entry.Header{Stamp: 1200}, removing("c")))
	if _, got := m.Digest(); got == want {
		t.Error("another state has the same digest")
	}
}
