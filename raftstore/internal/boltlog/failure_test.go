package boltlog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"
)

// After an error before the copy is in place, the log goes on as if nothing had happened.
func TestErrors(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
		if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: to, Max: old.Max}); err != nil {
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
	t.Parallel()
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
