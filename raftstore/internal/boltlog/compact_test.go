package boltlog

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

func noStep(step) error { return nil }

// The copy has what the file had, to the byte.
func TestCompact(t *testing.T) {
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

// Whatever is written between the pieces, the copy has it. The writer is faster than the copy now and then.
func TestWritesBetweenPieces(t *testing.T) {
	for seed := range uint64(6) {
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

// Writes come while pieces are copied, while nobody waits for anybody.
func TestWritesMeanwhile(t *testing.T) {
	l, m := newLog(t, 1, 40)
	stop := make(chan struct{})
	done := make(chan error, 2)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := m.next()(l); err != nil {
				done <- err
				return
			}
		}
	}()
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			last, err := l.LastIndex()
			if err == nil {
				err = l.GetLog(last, new(raft.Log))
			}
			if _, err2 := l.Get([]byte("CurrentTerm")); err2 != nil {
				err = err2
			}
			if err != nil && !errors.Is(err, raft.ErrLogNotFound) {
				done <- err
				return
			}
		}
	}()
	for range 4 {
		if _, _, err := l.compact(t.Context(), small, noStep); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	if err := errors.Join(<-done, <-done); err != nil {
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

func TestBusy(t *testing.T) {
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

// After an error before the copy is in place, the log goes on as if nothing had happened.
func TestErrors(t *testing.T) {
	failure := errors.New("failure")
	for _, at := range []step{atPiece, atCopied} {
		for what, fail := range map[string]func(context.CancelFunc, *Log) error{
			"error":     func(context.CancelFunc, *Log) error { return failure },
			"cancelled": func(cancel context.CancelFunc, _ *Log) error { cancel(); return context.Canceled },
		} {
			l, m := newLog(t, 1, 40)
			ctx, cancel := context.WithCancel(t.Context())
			n := 0
			before, after, err := l.compact(ctx, small, func(s step) error {
				if n++; s == at && n > 3 {
					return fail(cancel, l)
				}
				return nil
			})
			if !errors.Is(err, failure) && !errors.Is(err, context.Canceled) || before != after {
				t.Errorf("%s at step %d: %v", what, at, err)
			}
			nothingLeft(t, l.path)
			m.same(t, l)
			m.do(t, l, 20)
			if _, _, err := l.compact(t.Context(), small, noStep); err != nil {
				t.Error(err)
			}
			m.same(t, l)
		}
	}
}

func TestCancelled(t *testing.T) {
	l, m := newLog(t, 1, 40)
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := l.compact(ctx, small, func(step) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	nothingLeft(t, l.path)
	m.same(t, l)
}

func TestClosedMeanwhile(t *testing.T) {
	l, m := newLog(t, 1, 40)
	closed := make(chan error)
	_, _, err := l.compact(t.Context(), small, func(s step) error {
		if l.ctx.Err() == nil {
			go func() { closed <- l.Close() }()
			<-l.ctx.Done()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	nothingLeft(t, l.path)
	l = openAt(t, l.path)
	defer shut(t, l)
	m.same(t, l)
}

// When it can't be known which file a crash would leave, nothing more is written.
func TestDirectoryNotSynced(t *testing.T) {
	l, m := newLog(t, 1, 40)
	failure := errors.New("failure")
	_, _, err := l.compact(t.Context(), small, func(s step) error {
		if s == atRenamed {
			return failure
		}
		return nil
	})
	if !errors.Is(err, failure) {
		t.Error(err)
	}
	m.same(t, l)
	_, _, again := l.Compact(t.Context())
	for what, err := range map[string]error{
		"an entry":   l.StoreLog(&raft.Log{Index: 1e12}),
		"a deletion": l.DeleteRange(1, 1e12),
		"a term":     l.SetUint64([]byte("CurrentTerm"), 9),
		"a vote":     l.Set([]byte("LastVoteCand"), nil),
		"another":    again,
	} {
		if !errors.Is(err, failure) {
			t.Errorf("%s: %v", what, err)
		}
	}
	m.same(t, l)
	nothingLeft(t, l.path)
}

// After a write that failed nobody knows what the file has.
func TestWriteFailedMeanwhile(t *testing.T) {
	l, m := newLog(t, 1, 40)
	_, _, err := l.compact(t.Context(), small, func(s step) error {
		if s == atPiece && l.Set(nil, nil) == nil {
			t.Error("a value without a key was stored")
		}
		return nil
	})
	if err == nil {
		t.Error("it was compacted")
	}
	nothingLeft(t, l.path)
	m.do(t, l, 10)
	m.same(t, l)
}

// The copy can't be made at all, or not to its end.
func TestNoRoom(t *testing.T) {
	limit := func(to uint64) {
		var old unix.Rlimit
		if err := unix.Prlimit(0, unix.RLIMIT_FSIZE, nil, &old); err != nil {
			t.Fatal(err)
		}
		if err := unix.Prlimit(0, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: to, Max: old.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	defer limit(unix.RLIM_INFINITY)
	for _, at := range []int{0, 5} {
		l, m := newLog(t, 1, 10)
		for range 15 {
			if err := m.append(20)(l); err != nil {
				t.Fatal(err)
			}
		}
		pieces := 0
		if at == 0 {
			limit(1 << 20)
		}
		_, _, err := l.compact(t.Context(), small, func(s step) error {
			if pieces++; pieces == at {
				limit(64 << 10)
			}
			return nil
		})
		limit(unix.RLIM_INFINITY)
		if err == nil || !strings.Contains(err.Error(), unix.EFBIG.Error()) || pieces < at { // bbolt does not wrap it
			t.Errorf("%d pieces: %v", pieces, err)
		}
		nothingLeft(t, l.path)
		m.same(t, l)
		m.do(t, l, 10)
		if _, _, err := l.Compact(t.Context()); err != nil {
			t.Error(err)
		}
		m.same(t, l)
	}
}

func TestObstacle(t *testing.T) {
	l, m := newLog(t, 1, 10)
	if err := os.MkdirAll(filepath.Join(l.path+copySuffix, "something"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Compact(t.Context()); err == nil {
		t.Error("it was compacted")
	}
	m.same(t, l)
	m.do(t, l, 10)
	m.same(t, l)
}
