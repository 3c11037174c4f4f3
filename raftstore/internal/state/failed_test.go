package state

import (
	"errors"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// unreadable makes sure that nothing is said of a session any more, be it there or not, in memory or on disk.
func unreadable(t *testing.T, m *Machine, want error, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if data, there, err := m.Get([]byte(id), 0); !errors.Is(err, want) || there || data.Bytes != nil {
			t.Errorf("get %s: %q, %v, %v; want %v", id, data.Bytes, there, err, want)
		}
		if there, err := m.Have([]byte(id), 0); !errors.Is(err, want) || there {
			t.Errorf("have %s: %v, %v; want %v", id, there, err, want)
		}
	}
}

func TestNoReadsAfterClose(t *testing.T) {
	m := newMachine(t, never)
	do(t, m, at(1), adding("a", 1000, "data"))
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	unreadable(t, m, ErrClosed, "a", "none")
}

// An entry that can't be read to its end has been carried out in part, on this node alone: what it did is nobody's
// answer, until the process ends and afterwards.
func TestNoReadsOfAHalfAppliedEntry(t *testing.T) {
	m := newMachine(t, never)
	do(t, m, at(1), adding("on disk", 1000, "data"))
	flush(t, m)
	do(t, m, at(1), adding("in memory", 1000, "data"))
	bad := encode(at(1), removing("on disk"), removing("in memory"), adding("new", 1000, "data"))
	bad = bad[:len(bad)-1]
	entry.Seal(bad, entry.Header{Stamp: 1, Count: 3})
	if _, err := m.Apply(3, 1, bad); !errors.Is(err, entry.ErrFormat) {
		t.Fatalf("applied: %v", err)
	}
	unreadable(t, m, entry.ErrFormat, "on disk", "in memory", "new", "none")
	m.Close()
	m = openAt(t, m.path, never)
	if get(t, m, "on disk") != "data" || m.Len() != 1 {
		t.Errorf("the file has %d sessions", m.Len())
	}
}
