package raftlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/files"
)

// covers returns a function that gives the index of the newest snapshot.
func covers(index uint64) func() (uint64, error) { return func() (uint64, error) { return index, nil } }

// few and many are numbers of entries; many exceeds what is copied with one write.
const few, many = 20, 1000

// aLog makes a data directory with a log of n entries from first on, at term 9.
func aLog(t *testing.T, kind Kind, first, n uint64) string {
	t.Helper()
	dir := t.TempDir()
	f, err := Open(Options{Dir: dir, Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	storeEntries(t, f, first, first+n-1)
	for _, err := range []error{
		f.SetUint64([]byte("CurrentTerm"), 9),
		f.SetUint64([]byte("LastVoteTerm"), 8),
		f.Set([]byte("LastVoteCand"), []byte("127.0.0.1:1")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func storeEntries(t *testing.T, f *Log, first, last uint64) {
	t.Helper()
	var es []*raft.Log
	for i := first; i <= last; i++ {
		es = append(es, &raft.Log{
			Index: i, Term: 1 + i/300, Type: raft.LogType(i % 2), Data: bytes.Repeat([]byte{byte(i)}, int(i%700)),
			Extensions: []byte{byte(i)}[:i%2], AppendedAt: time.Unix(int64(i), 123456789),
		})
	}
	if err := f.StoreLogs(es); err != nil {
		t.Fatal(err)
	}
}

// hasLog checks that the directory has the log that aLog made, of the given kind, and no leftovers.
func hasLog(t *testing.T, dir string, kind Kind, first, n uint64) {
	t.Helper()
	f, err := Open(Options{Dir: dir, Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, name := range Names() {
		if there, err := files.Exists(filepath.Join(dir, name)); err != nil || there != (name == kind.File()) {
			t.Errorf("%s is there: %v, %v", name, there, err)
		}
	}
	a, err := f.FirstIndex()
	b, err2 := f.LastIndex()
	if err != nil || err2 != nil || a != first || b != first+n-1 {
		t.Fatalf("entries %d to %d (%v, %v)", a, b, err, err2)
	}
	for i := first; i < first+n; i++ {
		var e raft.Log
		if err := f.GetLog(i, &e); err != nil || e.Index != i || e.Term != 1+i/300 || e.Type != raft.LogType(i%2) ||
			!bytes.Equal(e.Data, bytes.Repeat([]byte{byte(i)}, int(i%700))) || len(e.Extensions) != int(i%2) ||
			!e.AppendedAt.Equal(time.Unix(int64(i), 123456789)) {
			t.Fatalf("entry %d: %d of term %d, %d bytes, %v, %v", i, e.Index, e.Term, len(e.Data), e.AppendedAt, err)
		}
	}
	for name, want := range map[string]uint64{"CurrentTerm": 9, "LastVoteTerm": 8} {
		if n, err := f.GetUint64([]byte(name)); n != want || err != nil {
			t.Errorf("%s is %d, %v", name, n, err)
		}
	}
	if b, err := f.Get([]byte("LastVoteCand")); string(b) != "127.0.0.1:1" || err != nil {
		t.Errorf("candidate %q, %v", b, err)
	}
}

func TestConvert(t *testing.T) {
	dir := aLog(t, Bolt, 17, many)
	for _, to := range []Kind{WAL, WAL, Bolt, Bolt, WAL} {
		before, err := files.Exists(filepath.Join(dir, to.File()))
		if err != nil {
			t.Fatal(err)
		}
		c, err := Convert(t.Context(), dir, to, covers(0))
		if err != nil {
			t.Fatal(err)
		}
		if c.Done == before || c.Done && (c.First != 17 || c.Last != 1016 || c.Entries != 1000 ||
			c.Term != 9 || c.Bytes == 0) {
			t.Errorf("to %s: %+v", to, c)
		}
		hasLog(t, dir, to, 17, many)
	}
}

func TestConvertEmptyLog(t *testing.T) {
	dir := t.TempDir()
	f, err := Open(Options{Dir: dir, Kind: WAL})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, to := range []Kind{Bolt, WAL} {
		if c, err := Convert(t.Context(), dir, to, covers(0)); err != nil || !c.Done || c.Entries != 0 {
			t.Errorf("to %s: %+v, %v", to, c, err)
		}
	}
}

// However far a conversion came before a crash, the next conversion and the next start, as either kind, find a whole
// log.
func TestConvertInterrupted(t *testing.T) {
	partly := func(t *testing.T, path string) {
		t.Helper()
		if fi, err := os.Stat(path); err != nil || !fi.IsDir() {
			if err := os.Truncate(path, 5000); err != nil {
				t.Fatal(err)
			}
			return
		}
		list, err := os.ReadDir(path)
		if err != nil || len(list) == 0 {
			t.Fatalf("%d files, %v", len(list), err)
		}
		if err := os.Remove(filepath.Join(path, list[0].Name())); err != nil {
			t.Fatal(err)
		}
	}
	const all = 6
	for _, to := range Kinds {
		for done := range all + 1 {
			for _, within := range []bool{false, true} { // the step that follows has begun
				t.Run(fmt.Sprintf("to %s, %d steps, %v", to, done, within), func(t *testing.T) {
					t.Parallel()
					for _, next := range []string{"again", "back", "start as new", "start as old"} {
						c := conversion{Conversion: Conversion{From: to.other(), To: to}, dir: aLog(t, to.other(), 5, few)}
						steps := c.steps(t.Context())
						if len(steps) != all {
							t.Fatalf("%d steps", len(steps))
						}
						for _, step := range steps[:done] {
							if err := step(); err != nil {
								t.Fatal(err)
							}
						}
						switch {
						case within && done == 0:
							if err := steps[0](); err != nil {
								t.Fatal(err)
							}
							partly(t, c.path(to, newSuffix))
						case within && done == all-1:
							partly(t, c.path(to.other(), oldSuffix))
						case within:
							continue
						}
						continueWith(t, c.dir, next, to, done > 3)
					}
				})
			}
		}
	}
}

// continueWith runs the next program after an interrupted conversion. Then the log is of the old kind or, if the copy
// was complete, of the new kind.
func continueWith(t *testing.T, dir, next string, to Kind, past bool) {
	t.Helper()
	kind := to.other()
	if past {
		kind = to
	}
	var err error
	switch next {
	case "again":
		_, err = Convert(t.Context(), dir, to, covers(0))
		kind = to
	case "back":
		_, err = Convert(t.Context(), dir, to.other(), covers(0))
		kind = to.other()
	default:
		start := to
		if next == "start as old" {
			start = to.other()
		}
		if start != kind {
			if f, err := Open(Options{Dir: dir, Kind: start}); err == nil {
				f.Close()
				t.Fatalf("%s: it is taken for %s", next, start)
			} else if other := new(OtherKindError); !errors.As(err, &other) || !errors.Is(err, ErrForeign) || other.Dir != dir {
				t.Fatalf("%s: %v", next, err)
			}
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", next, err)
	}
	hasLog(t, dir, kind, 5, few)
}

func TestConvertIsRefused(t *testing.T) {
	refused := func(what, dir string, want error, text string) {
		t.Helper()
		_, err := Convert(t.Context(), dir, WAL, covers(0))
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", what, err)
		}
	}
	dir := aLog(t, Bolt, 1, few)
	if err := os.Rename(filepath.Join(dir, "raft.db"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	refused("no log", dir, ErrForeign, "has no raft log")

	dir = aLog(t, Bolt, 1, few)
	if err := os.Mkdir(filepath.Join(dir, "wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	refused("two logs", dir, ErrForeign, "two raft logs, raft.db and wal")
	if f, err := Open(Options{Dir: dir, Kind: WAL}); !errors.Is(err, ErrForeign) {
		t.Errorf("two logs: %v, %v", f, err)
	}

	dir = aLog(t, Bolt, 1, few)
	f, err := Open(Options{Dir: dir, Kind: Bolt})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.SetUint64([]byte("Novelty"), 3), f.Close()); err != nil {
		t.Fatal(err)
	}
	refused("an unknown value", dir, nil, `"Novelty"`)
}

// An aborted conversion leaves the log unchanged.
func TestConvertGivenUp(t *testing.T) {
	dir := aLog(t, Bolt, 5, few)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Convert(ctx, dir, WAL, covers(0)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	hasLog(t, dir, Bolt, 5, few)
	if err := os.Truncate(filepath.Join(dir, "raft.db"), 10000); err != nil {
		t.Fatal(err)
	}
	if _, err := Convert(t.Context(), dir, WAL, covers(0)); !errors.Is(err, boltfile.ErrDamaged) {
		t.Fatal(err)
	}
	if there, err := files.Exists(filepath.Join(dir, "wal"+newSuffix)); there || err != nil {
		t.Errorf("a copy is left over: %v", err)
	}
}

// After a received snapshot a bbolt log has a gap. Only the entries behind the gap are copied, if the snapshot covers
// the rest.
func TestConvertWithGap(t *testing.T) {
	for _, newest := range []uint64{98, 99, 120} {
		dir := aLog(t, Bolt, 100, few)
		f, err := Open(Options{Dir: dir, Kind: Bolt})
		if err != nil {
			t.Fatal(err)
		}
		storeEntries(t, f, 10, 20)
		f.Close()
		c, err := Convert(t.Context(), dir, WAL, covers(newest))
		if newest < 99 {
			if !errors.Is(err, boltfile.ErrDamaged) {
				t.Errorf("snapshot %d: %v", newest, err)
			}
			continue
		}
		if err != nil || c.First != 100 || c.Last != 99+few || c.Entries != few {
			t.Fatalf("snapshot %d: %+v, %v", newest, c, err)
		}
		hasLog(t, dir, WAL, 100, few)
	}
}

// The copy belongs to the owner of the log, also when root converts it.
func TestConvertKeepsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := aLog(t, Bolt, 5, few)
	if err := os.Chown(filepath.Join(dir, "raft.db"), 65534, 65533); err != nil {
		t.Fatal(err)
	}
	if _, err := Convert(t.Context(), dir, WAL, covers(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := Convert(t.Context(), dir, Bolt, covers(0)); err != nil {
		t.Fatal(err)
	}
	c := conversion{Conversion: Conversion{From: Bolt, To: WAL}, dir: dir}
	if uid, gid, err := c.owner(); uid != 65534 || gid != 65533 || err != nil {
		t.Errorf("owned by %d:%d, %v", uid, gid, err)
	}
}

func TestParseKind(t *testing.T) {
	for _, k := range Kinds {
		if got, err := ParseKind(k.String()); got != k || err != nil {
			t.Errorf("%s: %v, %v", k, got, err)
		}
	}
	if _, err := ParseKind("boltdb"); err == nil || !strings.Contains(err.Error(), "bolt or wal") {
		t.Error(err)
	}
}
