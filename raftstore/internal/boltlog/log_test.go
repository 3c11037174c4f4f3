package boltlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

var (
	_ raft.LogStore    = (*Log)(nil)
	_ raft.StableStore = (*Log)(nil)
)

func TestKeepsEntriesAndVotes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	l := openAt(t, path)
	m := newModel(1)
	for range 5 {
		m.do(t, l, 30)
		shut(t, l)
		l = openAt(t, path)
		m.same(t, l)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	first, err := l.FirstIndex()
	last, err2 := l.LastIndex()
	if err := errors.Join(err, err2, l.DeleteRange(first, last)); err != nil || last < first {
		t.Fatalf("%d to %d, %v", first, last, err)
	}
	if err := l.GetLog(last, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
		t.Error(err)
	}
	if _, err := l.GetUint64([]byte("nothing")); !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		t.Error(err)
	}
	shut(t, l)
	shut(t, l)
	if err := l.StoreLog(&raft.Log{Index: 1}); err == nil {
		t.Error("an entry was stored in a closed log")
	}
}

// A file in use is left alone, and so is the copy that its user may be making.
func TestInUse(t *testing.T) {
	t.Parallel()
	l, _ := newLog(t, 1, 10)
	if err := os.WriteFile(l.path+copySuffix, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inUse(t, l.path)
	if _, err := os.Stat(l.path + copySuffix); err != nil {
		t.Error(err)
	}
}

func inUse(t *testing.T, path string) {
	t.Helper()
	l, err := Open(path, Options{})
	if err == nil {
		t.Fatal("it was opened twice")
	}
	if !strings.Contains(err.Error(), path+" is in use") || l != nil {
		t.Error(err)
	}
}

// What is no Raft log, or not a whole one, is refused, and nothing is written to it.
func TestRefused(t *testing.T) {
	buckets := func(fill func(*bbolt.Tx, *bbolt.Bucket) error, names ...string) func(string) error {
		return func(path string) error {
			db, err := boltfile.Open(path)
			if err != nil {
				return err
			}
			return errors.Join(db.Update(func(tx *bbolt.Tx) error {
				for _, name := range names {
					b, err := tx.CreateBucketIfNotExists([]byte(name))
					if err == nil {
						err = fill(tx, b)
					}
					if err != nil {
						return err
					}
				}
				return nil
			}), db.Close(), os.Truncate(path, 64<<10)) // without what is put by for later
		}
	}
	nothing := func(*bbolt.Tx, *bbolt.Bucket) error { return nil }
	key := func(_ *bbolt.Tx, b *bbolt.Bucket) error { return b.Put([]byte("key"), []byte("value")) }
	nested := func(_ *bbolt.Tx, b *bbolt.Bucket) error {
		_, err := b.CreateBucketIfNotExists([]byte("12345678"))
		return err
	}
	for name, x := range map[string]struct {
		make func(path string) error
		want error
	}{
		"another bucket":     {buckets(nothing, logsBucket, confBucket, "sessions"), ErrForeign},
		"other buckets":      {buckets(key, "sessions", "meta"), ErrForeign},
		"one bucket":         {buckets(key, confBucket), ErrForeign},
		"keys of other size": {buckets(key, logsBucket, confBucket), ErrForeign},
		"nested":             {buckets(nested, logsBucket, confBucket), ErrForeign},
		"text": {func(path string) error {
			return os.WriteFile(path, []byte("text"), 0o600)
		}, boltfile.ErrDamaged},
		"cut": {func(path string) error {
			return errors.Join(buckets(nothing, logsBucket, confBucket)(path), os.Truncate(path, 10000))
		}, boltfile.ErrDamaged},
		"new":   {buckets(nothing), nil},
		"empty": {buckets(nothing, logsBucket, confBucket), nil},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := x.make(path); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Open(path, Options{})
		if !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
		if err == nil {
			shut(t, l)
			continue
		}
		t.Logf("%s: %v", name, err)
		after, err := os.ReadFile(path)
		if err != nil || string(before) != string(after) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
	if _, err := Open(t.TempDir(), Options{}); err == nil {
		t.Error("a directory was opened")
	}
}

// TestTrim deletes more at the front than goes in one write, across a gap, and all there is.
func TestTrim(t *testing.T) {
	l, err := Open(filepath.Join(t.TempDir(), "raft.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	store := func(from, to uint64) {
		t.Helper()
		var es []*raft.Log
		for i := from; i <= to; i++ {
			es = append(es, &raft.Log{Index: i, Data: []byte("x")})
		}
		if err := l.StoreLogs(es); err != nil {
			t.Fatal(err)
		}
	}
	store(10, 10+3*trimEntries)
	store(1e15, 1e15+2*trimEntries)
	for _, test := range []struct{ first, last, left uint64 }{
		{1, 9, 10},
		{1, 10, 11},
		{1, 11 + trimEntries, 12 + trimEntries},
		{1, 1e15 + trimEntries, 1e15 + trimEntries + 1},
		{1, 5, 1e15 + trimEntries + 1},
		{1, 1e15 + 2*trimEntries, 0},
	} {
		if err := l.DeleteRange(test.first, test.last); err != nil {
			t.Fatal(err)
		}
		if first, err := l.FirstIndex(); err != nil || first != test.left {
			t.Errorf("without %d to %d the log begins with %d, not %d (%v)", test.first, test.last, first, test.left, err)
		}
	}
}
