package state

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// linked gives another name to a machine's file, by which it can be looked at when it is no longer the machine's.
func linked(t *testing.T, m *Machine) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "old.db")
	if err := os.Link(m.path, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

// TestGivenBack: when Compact returns, the old file's room is free, and the next may begin.
func TestGivenBack(t *testing.T) {
	m := peak(t, filepath.Join(t.TempDir(), "state.db"), never)
	for range 3 {
		old := linked(t, m)
		compact(t, m)
		if n := sizeOf(t, old); n != 0 {
			t.Errorf("%d bytes are left", n)
		}
	}
}

// TestGivenBackLater: while the old file is sent to another node Compact doesn't wait, and the end of its context
// changes nothing. The room is given back a little at a time, but at once when the machine is closed or its file
// replaced.
func TestGivenBackLater(t *testing.T) {
	for _, ended := range []bool{false, true} {
		m := peak(t, filepath.Join(t.TempDir(), "state.db"), never)
		_, r, err := m.Stream()
		if err != nil {
			t.Fatal(err)
		}
		old := linked(t, m)
		ctx, cancel := context.WithCancel(t.Context())
		if _, _, err := m.Compact(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		if sizeOf(t, old) == 0 {
			t.Error("the file is empty while it is read")
		}
		m.mu.Lock()
		c := m.compacting
		m.mu.Unlock()
		if ended {
			c.cancel() // as stopCompacting does
		}
		r.Close()
		<-c.done
		if (sizeOf(t, old) == 0) == ended {
			t.Errorf("ended: %v; %d bytes are left", ended, sizeOf(t, old))
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestCancelledWhileGivingBack: once the copy is in its place, it stays there, and the old file is closed at once.
func TestCancelledWhileGivingBack(t *testing.T) {
	m := peak(t, filepath.Join(t.TempDir(), "state.db"), never)
	want := dump(t, m)
	old := linked(t, m)
	own, cancel := context.WithCancel(t.Context())
	c := &compaction{m: m, path: m.path + compactSuffix, cancel: cancel, done: make(chan struct{})}
	if err := errors.Join(c.begin(), c.run(own)); err != nil {
		t.Fatal(err)
	}
	cancel()
	c.retire(own, nil)
	if sizeOf(t, old) == 0 {
		t.Error("it was given back a little at a time")
	}
	if got := dump(t, m); got != want {
		t.Error("the state is another")
	}
}
