package boltlog

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

func noStep(step) error { return nil }

// The copy has what the file had, to the byte.
func TestCompact(t *testing.T) {
	t.Parallel()
	l, m := newLog(t, 1, 40)
	put(t, l, &raft.Log{Index: 1e15, Data: []byte{}}, &raft.Log{Index: 1e15 + 1})
	before := raw(t, l.path)
	if len(before) < 20 {
		t.Fatalf("only %d things are there", len(before))
	}
	for range 2 {
		if _, _, err := l.compact(t.Context(), small, noStep); err != nil {
			t.Fatal(err)
		}
		if after := raw(t, l.path); !maps.Equal(before, after) {
			t.Fatal("the copy differs")
		}
	}
	nothingLeft(t, l.path)
	inUse(t, l.path)
	if fi, err := os.Stat(l.path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	if err := l.DeleteRange(1e15, 1e15+1); err != nil {
		t.Fatal(err)
	}
	m.do(t, l, 20)
	m.same(t, l)
	shut(t, l)
	l = openAt(t, l.path)
	defer shut(t, l)
	m.same(t, l)
	m.do(t, l, 10)
	m.same(t, l)
}

func TestCompactEmpty(t *testing.T) {
	t.Parallel()
	l := openAt(t, filepath.Join(t.TempDir(), "log"))
	m := newModel(1)
	if _, _, err := l.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.same(t, l)
	m.do(t, l, 10)
	m.same(t, l)
	shut(t, l)
	if _, _, err := l.Compact(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A file from which most was deleted becomes as small as a new one.
func TestShrinks(t *testing.T) {
	t.Parallel()
	l := openAt(t, filepath.Join(t.TempDir(), "log"))
	defer shut(t, l)
	empty, none := l.Size(), l.Used()
	const n = 200
	for i := uint64(1); i <= n; {
		var es []*raft.Log
		for range 20 {
			es = append(es, &raft.Log{Index: i, Data: make([]byte, 100<<10)})
			i++
		}
		put(t, l, es...)
	}
	if err := l.DeleteRange(1, n-1); err != nil {
		t.Fatal(err)
	}
	full := l.Size()
	before, after, err := l.Compact(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes when new, %d when full, %d after it, %d of them used", empty, full, after, l.Used())
	if before != full || after != l.Size() || full < n*(100<<10) || after > empty+(200<<10) || l.Used() > none+(200<<10) {
		t.Errorf("%d before, %d after it", before, after)
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	l, m := newLog(t, 1, 10)
	_, _, err := l.compact(t.Context(), small, func(step) error {
		if _, _, err := l.Compact(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("a second one: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.same(t, l)
}

// The old file's room is given back before Compact returns, a little at a time, and in one go when it is cancelled.
func TestGivenBack(t *testing.T) {
	t.Parallel()
	for _, cancelled := range []bool{false, true} {
		l, m := newLog(t, 1, 40)
		old := filepath.Join(t.TempDir(), "log")
		if err := os.Link(l.path, old); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, _, err := l.compact(ctx, small, func(s step) error {
			if cancelled && s == atSwapped {
				cancel()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// Here it still has a name, so that nothing is given back when it is closed.
		fi, err := os.Stat(old)
		if err != nil || (fi.Size() == 0) == cancelled {
			t.Errorf("cancelled: %v; %d bytes are left (%v)", cancelled, fi.Size(), err)
		}
		m.same(t, l)
		shut(t, l)
	}
}
