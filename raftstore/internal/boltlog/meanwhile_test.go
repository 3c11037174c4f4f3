package boltlog

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

// Whatever is written between the pieces, the copy has it. The writer is faster than the copy now and then.
func TestWritesBetweenPieces(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		l, m := newLog(t, seed, 40)
		pieces := 0
		_, _, err := l.compact(t.Context(), small, func(s step) error {
			if s == atPiece {
				m.do(t, l, m.r.IntN(8))
				pieces++
			}
			return nil
		})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if pieces < 3 {
			t.Errorf("seed %d: only %d pieces", seed, pieces)
		}
		m.same(t, l)
		m.do(t, l, 20)
		m.same(t, l)
		shut(t, l)
	}
}

// Writes and reads come while pieces are copied, and nobody waits for anybody.
func TestWritesMeanwhile(t *testing.T) {
	t.Parallel()
	l, m := newLog(t, 1, 40)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	repeat := func(f func() error) <-chan error {
		done := make(chan error, 1)
		go func() {
			var err error
			for err == nil && ctx.Err() == nil {
				err = f()
			}
			done <- err
		}()
		return done
	}
	writer := repeat(func() error { return m.next()(l) })
	reader := repeat(func() error {
		last, err := l.LastIndex()
		if err == nil {
			err = l.GetLog(last, new(raft.Log))
		}
		if errors.Is(err, raft.ErrLogNotFound) { // it was just deleted
			err = nil
		}
		_, err2 := l.Get([]byte("CurrentTerm"))
		return errors.Join(err, err2)
	})
	for range 3 {
		if _, _, err := l.compact(t.Context(), small, noStep); err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := errors.Join(<-writer, <-reader); err != nil {
		t.Fatal(err)
	}
	m.same(t, l)
}

// newCopier begins a copy.
func newCopier(t *testing.T, l *Log, piece int64) *copier {
	t.Helper()
	to, err := openStore(l.path+copySuffix, os.O_RDWR|os.O_CREATE, l.path, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = to.Close() })
	l.follow(true)
	return &copier{log: l, from: l.store, to: to, piece: piece, reached: noStep}
}

// An entry may be deleted, and stored again, between being found and being read.
func TestDeletedBeforeRead(t *testing.T) {
	t.Parallel()
	l := openAt(t, filepath.Join(t.TempDir(), "log"))
	defer shut(t, l)
	for i := range uint64(9) {
		put(t, l, &raft.Log{Index: i + 1, Data: make([]byte, small)})
	}
	c := newCopier(t, l, 3*small)
	take := func() piece {
		t.Helper()
		p, err := c.take()
		if err != nil {
			t.Fatal(err)
		}
		p.bound = c.piece
		return p
	}
	p := take()
	if err := l.DeleteRange(2, 2); err != nil {
		t.Fatal(err)
	}
	if err := c.copy(p); err != nil || c.end || c.next != 2 {
		t.Fatal(err, c.next)
	}
	p = take()
	if err := l.DeleteRange(3, 4); err != nil {
		t.Fatal(err)
	}
	put(t, l, &raft.Log{Index: 3, Term: 7})
	if err := c.copy(p); err != nil || c.end || c.next != 4 {
		t.Fatal(err, c.next)
	}
	for !c.end {
		if err := c.copy(take()); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := raw(t, l.path+copySuffix), raw(t, l.path); !maps.Equal(got, want) || len(got) != 7 {
		t.Errorf("%d things in the copy, %d in the log", len(got), len(want))
	}
	// One that is missing for no reason is not passed over.
	l.holds.entries.add(20)
	put(t, l, &raft.Log{Index: 19})
	var err error
	for range 10 {
		if p, err = c.take(); err != nil {
			break
		}
		if err := c.copy(p); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(err, boltfile.ErrDamaged) {
		t.Error(err)
	}
}

// A log that grows faster than it can be copied is compacted all the same.
func TestFastWriter(t *testing.T) {
	t.Parallel()
	l := openAt(t, filepath.Join(t.TempDir(), "log"))
	defer shut(t, l)
	next := uint64(1)
	appendSome := func(n int) {
		for range n {
			put(t, l, &raft.Log{Index: next, Data: make([]byte, small)})
			next++
		}
	}
	appendSome(10)
	stop := make(chan struct{})
	done := make(chan struct{})
	_, _, err := l.compact(t.Context(), small, func(s step) error {
		switch {
		case s == atPiece && next < 500:
			appendSome(4)
		case s == atPiece:
			return errors.New("it does not end")
		case s == atCopied:
			go func() {
				defer close(done)
				<-stop
				put(t, l, &raft.Log{Index: next})
			}()
		case s == atSwapped:
			close(stop)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	<-done
	if last, err := l.LastIndex(); last != next || err != nil {
		t.Errorf("ends at %d, want %d (%v)", last, next, err)
	}
}

// As long as the log grows more slowly than it is copied, writes wait for no more than a piece.
func TestLastPieceIsSmall(t *testing.T) {
	t.Parallel()
	l := openAt(t, filepath.Join(t.TempDir(), "log"))
	defer shut(t, l)
	c := newCopier(t, l, 4*small)
	next := uint64(1)
	turn := func(entries int) (done bool) {
		t.Helper()
		for range entries {
			put(t, l, &raft.Log{Index: next, Data: make([]byte, small)})
			next++
		}
		done, err := c.turn()
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	for i, grown := range []int{20, 10, 5} {
		if turn(grown) {
			t.Fatalf("turn %d was the last", i)
		}
		if !l.writing.TryLock() {
			t.Fatalf("writes are held back after turn %d", i)
		}
		l.writing.Unlock()
	}
	if !turn(3) || l.writing.TryLock() {
		t.Error("it is not done")
	}
	l.writing.Unlock()
	if got, want := raw(t, l.path+copySuffix), raw(t, l.path); !maps.Equal(got, want) || len(got) != int(next-1) {
		t.Errorf("%d things in the copy, %d in the log", len(got), len(want))
	}
}
