package walfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

// small is the size of a file in the tests: some entries.
const small = 8192

func open(t testing.TB, dir string) *Log {
	t.Helper()
	l, err := Open(dir, Options{segment: small})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func logEntry(i uint64) *raft.Log {
	return &raft.Log{Index: i, Term: 1 + i/10, Data: bytes.Repeat([]byte{byte(i)}, 300+int(i))}
}

func store(t testing.TB, l *Log, from, to uint64) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := l.StoreLog(logEntry(i)); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
}

// holds makes sure that the log has just these entries.
func holds(t testing.TB, l *Log, from, to uint64) {
	t.Helper()
	first, err := l.FirstIndex()
	last, err2 := l.LastIndex()
	if err != nil || err2 != nil || first != from || last != to {
		t.Fatalf("entries %d to %d, want %d to %d (%v, %v)", first, last, from, to, err, err2)
	}
	for i := from; i <= to; i++ {
		var e raft.Log
		if err := l.GetLog(i, &e); err != nil || e.Index != i || !bytes.Equal(e.Data, logEntry(i).Data) {
			t.Fatalf("entry %d: index %d, %d bytes, %v", i, e.Index, len(e.Data), err)
		}
	}
}

func shut(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestKeepsEntriesAndVotes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	l := open(t, dir)
	if err := l.SetUint64([]byte("CurrentTerm"), 7); err != nil {
		t.Fatal(err)
	}
	store(t, l, 1, 60)
	if err := l.DeleteRange(1, 30); err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteRange(51, 60); err != nil {
		t.Fatal(err)
	}
	store(t, l, 51, 55)
	for range 2 {
		shut(t, l)
		l = open(t, dir)
		holds(t, l, 31, 55)
	}
	if n, err := l.GetUint64([]byte("CurrentTerm")); n != 7 || err != nil {
		t.Errorf("term %d, %v", n, err)
	}
	shut(t, l)
	if keys, err := Keys(dir); err != nil || fmt.Sprint(keys) != "[CurrentTerm]" {
		t.Errorf("keys %v, %v", keys, err)
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	l := open(t, dir)
	store(t, l, 1, 60)
	shut(t, l)
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", fi.Mode(), err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) < 3 {
		t.Fatalf("%d files, %v", len(list), err)
	}
	for _, f := range list {
		if fi, err := f.Info(); err != nil || fi.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), fi.Mode(), err)
		}
	}
}

// After a snapshot the log goes on elsewhere than where it ended; otherwise it must not.
func TestEntriesAfterASnapshot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	snapshot := uint64(0)
	l, err := Open(dir, Options{segment: small, Covered: func() uint64 { return snapshot }})
	if err != nil {
		t.Fatal(err)
	}
	store(t, l, 1, 40)
	snapshot = 98
	if err := l.StoreLog(logEntry(100)); err == nil {
		t.Fatal("a gap was taken")
	}
	holds(t, l, 1, 40)
	snapshot = 99
	store(t, l, 100, 140)
	holds(t, l, 100, 140)
	store(t, l, 141, 141)
	if err := l.StoreLog(logEntry(150)); err == nil {
		t.Fatal("a gap was taken")
	}
	shut(t, l)
	l = open(t, dir)
	holds(t, l, 100, 141)
	shut(t, l)
}

// deaf is the list of files as a crash leaves it: what would be written from some moment on is not.
type deaf struct {
	metadb.BoltMetaDB
	dead bool
}

func (d *deaf) CommitState(s types.PersistentState) error {
	if d.dead {
		return errors.New("crash")
	}
	return d.BoltMetaDB.CommitState(s)
}

// The process died after the write that filled a file, before the next one was begun.
func TestCrashBeforeNextFile(t *testing.T) {
	dir := t.TempDir()
	meta := new(deaf)
	w, err := wal.Open(dir, wal.WithMetaStore(meta), wal.WithSegmentSize(small))
	if err != nil {
		t.Fatal(err)
	}
	meta.dead = true
	last := uint64(0)
	for err == nil {
		last++
		err = w.StoreLog(logEntry(last))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l := open(t, dir)
	holds(t, l, 1, last-1)
	store(t, l, last, last+50)
	holds(t, l, 1, last+50)
	shut(t, l)
	l = open(t, dir)
	holds(t, l, 1, last+50)
	shut(t, l)
}

// When the next file can't be made, the error says why, and the log is whole as far as it was stored.
func TestNoNextFile(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	const obstacle = "00000000000000000024-0000000000000001.wal"
	write(t, filepath.Join(dir, obstacle), nil)
	last := uint64(0)
	var err error
	for err == nil {
		last++
		err = l.StoreLog(logEntry(last))
	}
	if !errors.Is(err, os.ErrExist) || last != 24 || strings.Contains(err.Error(), "sealed") {
		t.Fatalf("entry %d: %v", last, err)
	}
	shut(t, l)
	l = open(t, dir)
	holds(t, l, 1, last-1)
	store(t, l, last, 60)
	shut(t, l)
}

// unwritable is a file of names that can't be written.
type unwritable struct{ types.MetaStore }

func (unwritable) CommitState(types.PersistentState) error { return syscall.EIO }

// It may be the file of names that keeps the next one from being made.
func TestNoNextName(t *testing.T) {
	failed := new(failure)
	l := &Log{LogStore: sealed{}, failed: failed}
	if err := l.StoreLog(logEntry(1)); !errors.Is(err, types.ErrSealed) {
		t.Errorf("nothing has failed: %v", err)
	}
	m := &metaStore{unwritable{}, failed}
	if err := m.CommitState(types.PersistentState{}); err != syscall.EIO {
		t.Errorf("CommitState = %v", err)
	}
	if err := l.StoreLog(logEntry(1)); !errors.Is(err, syscall.EIO) || strings.Contains(err.Error(), "sealed") {
		t.Errorf("StoreLog = %v", err)
	}
}

// sealed is a log that lacks its next file.
type sealed struct{ raft.LogStore }

func (sealed) LastIndex() (uint64, error)  { return 0, nil }
func (sealed) StoreLogs([]*raft.Log) error { return types.ErrSealed }

// The process died during its last write, and any part of that may be in the file: the log is as before it.
func TestTornWrite(t *testing.T) {
	for _, fill := range []uint64{2, 8} { // 8 are more than fit, so that the write has an index too
		for seed := range uint64(20) {
			t.Run(fmt.Sprintf("%d entries, seed %d", fill, seed), func(t *testing.T) {
				dir := t.TempDir()
				l := open(t, dir)
				store(t, l, 1, 5)
				path := files(t, dir)[0]
				before := read(t, path)
				var es []*raft.Log
				for i := range fill {
					// Longer than a sector, so that one can be lost without a trace of it in what is around it.
					es = append(es, &raft.Log{Index: 6 + i, Term: 1, Data: bytes.Repeat([]byte{1}, 2000)})
				}
				if err := l.StoreLogs(es); err != nil {
					t.Fatal(err)
				}
				torn := read(t, path)
				shut(t, l)

				// Of the last write, all sectors but one, or only some of them.
				r := rand.New(rand.NewPCG(seed, 1))
				begin := 0
				for before[begin] == torn[begin] {
					begin++
				}
				end := len(bytes.TrimRight(torn, "\x00"))
				lost := begin + r.IntN(end-begin)
				for at := begin / 512 * 512; at < len(torn); at += 512 {
					if seed%2 == 0 && r.IntN(2) == 0 || at == lost/512*512 {
						clear(torn[at:min(at+512, len(torn))])
						copy(torn[at:], before[min(at, len(before)):min(at+512, len(before))])
					}
				}
				dir2 := t.TempDir()
				crashed(t, dir2)
				write(t, filepath.Join(dir2, filepath.Base(path)), torn)

				l = open(t, dir2)
				holds(t, l, 1, 5)
				store(t, l, 6, 60)
				shut(t, l)
				l = open(t, dir2)
				holds(t, l, 1, 60)
				shut(t, l)
			})
		}
	}
}

// crashed makes a directory whose list of files has the first one only.
func crashed(t *testing.T, dir string) {
	t.Helper()
	shut(t, open(t, dir))
	if err := os.Remove(files(t, dir)[0]); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sample makes a log of several files and returns their contents.
func sample(t testing.TB) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	l := open(t, dir)
	store(t, l, 1, 60)
	if err := l.SetUint64([]byte("CurrentTerm"), 7); err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteRange(58, 60); err != nil {
		t.Fatal(err)
	}
	store(t, l, 58, 63)
	shut(t, l)
	all := make(map[string][]byte)
	for _, path := range append(files(t, dir), filepath.Join(dir, metadb.FileName)) {
		all[filepath.Base(path)] = read(t, path)
	}
	return all
}

// openDamaged opens the sample with a file changed, nil being without it.
func openDamaged(t testing.TB, all map[string][]byte, name string, content []byte) error {
	t.Helper()
	dir := t.TempDir()
	for n, b := range all {
		if n == name {
			b = content
		}
		if b != nil {
			write(t, filepath.Join(dir, n), b)
		}
	}
	l, err := Open(dir, Options{segment: small})
	if err != nil {
		return err
	}
	holds(t, l, 1, 63)
	shut(t, l)
	return nil
}

func TestDamage(t *testing.T) {
	all := sample(t)
	r := rand.New(rand.NewPCG(3, 4))
	names := make([]string, 0, len(all))
	tail := ""
	for name := range all {
		names = append(names, name)
		if name != metadb.FileName {
			tail = max(tail, name)
		}
	}
	if len(names) < 5 {
		t.Fatalf("only %d files", len(names))
	}
	for _, name := range names {
		whole := all[name]
		used := len(bytes.TrimRight(whole, "\x00"))
		if name != tail { // that one could be missing after a crash
			damaged(t, name+" missing", openDamaged(t, all, name, nil))
			damaged(t, name+" of other content", openDamaged(t, all, name, []byte("something else altogether")))
			if name != metadb.FileName {
				damaged(t, name+" empty", openDamaged(t, all, name, []byte{}))
			}
		}
		for range 10 {
			n := 1 + r.IntN(used-1)
			damaged(t, fmt.Sprintf("%s cut at %d of %d", name, n, used), openDamaged(t, all, name, whole[:n]))
		}
		if name == metadb.FileName {
			continue
		}
		lastWrite := used
		if name == tail {
			lastWrite = used / 2 // damage of the last write can't be told from a crash
		}
		for range 50 {
			b := bytes.Clone(whole)
			at := r.IntN(lastWrite)
			b[at] ^= byte(1 + r.IntN(255))
			damaged(t, fmt.Sprintf("%s changed at %d of %d", name, at, used), openDamaged(t, all, name, b))
		}
	}
}

func damaged(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("%s: %v, want ErrDamaged", what, err)
	}
}

func TestDamagedList(t *testing.T) {
	all := sample(t)
	dir := t.TempDir()
	path := filepath.Join(dir, metadb.FileName)
	change := func(f func(*types.PersistentState)) []byte {
		write(t, path, all[metadb.FileName])
		db, err := boltfile.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(metadb.MetaBucket))
			var s types.PersistentState
			if err := json.Unmarshal(b.Get([]byte(metadb.MetaKey)), &s); err != nil {
				return err
			}
			f(&s)
			raw, err := json.Marshal(s)
			if err != nil {
				return err
			}
			return b.Put([]byte(metadb.MetaKey), raw)
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		return read(t, path)
	}
	if err := openDamaged(t, all, metadb.FileName, change(func(*types.PersistentState) {})); err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]func(*types.PersistentState){
		"a gap":              func(s *types.PersistentState) { s.Segments = append(s.Segments[:1], s.Segments[2:]...) },
		"no last file":       func(s *types.PersistentState) { s.Segments = s.Segments[:1] },
		"files swapped":      func(s *types.PersistentState) { s.Segments[0], s.Segments[1] = s.Segments[1], s.Segments[0] },
		"another codec":      func(s *types.PersistentState) { s.Segments[0].Codec = 5 },
		"an id to be reused": func(s *types.PersistentState) { s.NextSegmentID = 1 },
		"another index":      func(s *types.PersistentState) { s.Segments[0].IndexStart = 32 },
	} {
		damaged(t, what, openDamaged(t, all, metadb.FileName, change(f)))
	}
}

func FuzzScan(f *testing.F) {
	si := types.SegmentInfo{ID: 1, BaseIndex: 1, Codec: wal.CodecBinaryV1}
	for _, b := range sample(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := scanSegment(b, si); err == nil && (s.end > len(b) || s.torn > len(b) || s.index > uint64(s.end)) {
			t.Errorf("%+v of %d bytes", s, len(b))
		}
	})
}
