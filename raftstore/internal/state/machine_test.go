package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/wire"
)

func at(stamp uint64) entry.Header { return entry.Header{Stamp: stamp} }

func TestExactlyOnce(t *testing.T) {
	m := newMachine(t, never)
	op := func(kind entry.Kind, counter, low uint64, id string) entry.Op {
		o := entry.Op{Kind: kind, Identity: entry.Identity{Origin: 77, Counter: counter, Low: low}, ID: []byte(id)}
		if kind == entry.Add {
			o.Timeout, o.Data = 1000, []byte("data of "+id)
		}
		return o
	}
	steps := []struct {
		what string
		op   entry.Op
		want wire.Status
	}{
		{"first", op(entry.Add, 1, 1, "a"), wire.OK},
		{"the same again", op(entry.Add, 1, 1, "a"), wire.OK},
		{"another request", op(entry.Add, 2, 1, "a"), wire.MatchingSession},
		{"removed", op(entry.Remove, 3, 1, "a"), wire.OK},
		{"the add again does not bring it back", op(entry.Add, 1, 1, "a"), wire.OK},
		{"nor does the failed one", op(entry.Add, 2, 1, "a"), wire.MatchingSession},
		{"the remove again", op(entry.Remove, 3, 1, "a"), wire.OK},
		{"out of order", op(entry.Remove, 6, 1, "a"), wire.NotOK},
		{"one that was left out", op(entry.Add, 5, 1, "b"), wire.OK},
		{"trimming", op(entry.Remove, 7, 6, "a"), wire.NotOK},
		{"a trimmed one never applies", op(entry.Remove, 5, 1, "b"), wire.Disconnected},
		{"nor one that was never seen", op(entry.Remove, 4, 1, "b"), wire.Disconnected},
		{"kept across the trim", op(entry.Remove, 6, 1, "b"), wire.NotOK},
		{"far ahead", op(entry.Remove, 5000, 4990, "b"), wire.OK},
		{"behind that", op(entry.Add, 7, 7, "b"), wire.Disconnected},
	}
	for i, s := range steps {
		if got := do(t, m, at(1000), s.op); got[0] != s.want {
			t.Errorf("%s: %v, want %v", s.what, got[0].Name(), s.want.Name())
		}
		if i%2 == 0 {
			flush(t, m)
		}
	}
	if n := len(m.c.origins.byID[77].window); n > 20 {
		t.Errorf("%d results are kept, after all but 11 were trimmed", n)
	}
	// What is on record outlives the process.
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m = openAt(t, m.path, never)
	if got := do(t, m, at(1000), op(entry.Remove, 5000, 4990, "b")); got[0] != wire.OK {
		t.Errorf("after a restart: %v", got[0].Name())
	}
}

// Two of one identity in one entry: a follower that lost its connection asked again.
func TestTwiceInOneEntry(t *testing.T) {
	m := newMachine(t, never)
	op := adding("a", 1000, "data")
	if got := do(t, m, at(1), op, op); !slices.Equal(got, []wire.Status{wire.OK, wire.OK}) {
		t.Errorf("got %v", got)
	}
}

// The window follows what waits: it does not grow with the requests that were ever made.
func TestWindowStaysSmall(t *testing.T) {
	m := newMachine(t, never)
	var o *origin
	for c := uint64(1); c <= 20_000; c++ {
		low := max(c, 8) - 7
		do(t, m, at(1), entry.Op{Kind: entry.Remove, Identity: entry.Identity{Origin: 5, Counter: c, Low: low}, ID: []byte("x")})
		o = m.c.origins.byID[5]
		if len(o.window) > 8 || cap(o.window) > 64 {
			t.Fatalf("request %d: window of %d, %d allocated", c, len(o.window), cap(o.window))
		}
	}
}

// A request far beyond the window, which no process of ours makes, must not stop the state machine: the entry is
// committed, and every node would stop over it at every start.
func TestBeyondWindow(t *testing.T) {
	m := newMachine(t, never)
	wild := entry.Op{Kind: entry.Remove, Identity: entry.Identity{Origin: 5, Counter: 1 << 31, Low: 1}, ID: []byte("x")}
	got := do(t, m, at(1), wild, adding("a", 1000, "data"))
	if !slices.Equal(got, []wire.Status{wire.Disconnected, wire.OK}) {
		t.Errorf("got %v", got)
	}
	if o := m.c.origins.byID[5]; o != nil && cap(o.window) > 1024 {
		t.Errorf("a window of %d was allocated", cap(o.window))
	}
}

func TestOriginsAreForgotten(t *testing.T) {
	const minute = 60 * 1000
	m := newMachine(t, never)
	op := func(origin, counter uint64) entry.Op {
		return entry.Op{Kind: entry.Remove, Identity: entry.Identity{Origin: origin, Counter: counter, Low: 1}, ID: []byte("x")}
	}
	const start = 1_000_000
	do(t, m, at(start), op(1, 1), op(2, 1))
	flush(t, m)
	do(t, m, at(start+9*minute), op(2, 2))
	do(t, m, at(start+11*minute), op(3, 1))
	flush(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m = openAt(t, m.path, never)
	if m.c.origins.byID[1] != nil || m.c.origins.byID[2] == nil || m.c.origins.byID[3] == nil {
		t.Errorf("the file has the origins %v, want 2 and 3", m.c.origins.byID)
	}
	// Heard of again in the very entry that drops it.
	do(t, m, at(start+30*minute), op(2, 9))
	flush(t, m)
	m.Close()
	m = openAt(t, m.path, never)
	if o := m.c.origins.byID[2]; len(m.c.origins.byID) != 1 || o == nil || o.heard != start+30*minute {
		t.Errorf("the file has the origins %v, want 2", m.c.origins.byID)
	}
}

// Whether an origin is forgotten depends on the log alone: not on when a machine last swept, which a restart forgets.
func TestForgettingIsDeterministic(t *testing.T) {
	const minute = 60 * 1000
	calm, other := newMachine(t, never), newMachine(t, never)
	both := func(stamp uint64, ops ...entry.Op) {
		t.Helper()
		if a, b := do(t, calm, at(stamp), ops...), do(t, other, at(stamp), ops...); !slices.Equal(a, b) {
			t.Errorf("at %d: %v here, %v there", stamp, a, b)
		}
	}
	add := adding("x", 60*minute, "data")
	add.Origin = 50
	both(1_000_000, add)
	both(1_000_000+10*minute-1000, removing("x"))
	other.Close()
	other = openAt(t, other.path, never)
	both(1_000_000+10*minute+1000, add)
	if a, b := dump(t, calm), dump(t, other); a != b {
		t.Errorf("the two differ\n%s\n%s", a, b)
	}
}

func TestExpiryAndOrder(t *testing.T) {
	m := newMachine(t, never)
	do(t, m, at(1000), adding("late", 500, "l"), adding("soon", 100, "s"), adding("zero", 0, "z"), adding("zero", 0, "z"))
	if m.Len() != 2 || get(t, m, "zero") != "" {
		t.Fatalf("%d sessions: one with a timeout of 0 is over at once", m.Len())
	}
	if _, next := m.Clock(); next != 1100 {
		t.Errorf("the next expires at %d, want 1100", next)
	}
	flush(t, m)
	do(t, m, at(1099))
	if get(t, m, "soon") != "s" {
		t.Error("expired too soon")
	}
	do(t, m, at(1100), adding("soon", 100, "again"))
	if get(t, m, "soon") != "again" {
		t.Error("not expired when its time was over")
	}
	do(t, m, at(500)) // time does not go back
	if stamp, _ := m.Clock(); stamp != 1100 {
		t.Errorf("the clock went back to %d", stamp)
	}
	do(t, m, at(1<<40))
	if _, next := m.Clock(); m.Len() != 0 || next != 0 {
		t.Errorf("%d sessions are left, the next expires at %d", m.Len(), next)
	}
}

func TestCapacityKeepsTheLast(t *testing.T) {
	m := newMachine(t, never)
	order := newGenerator(9).r.Perm(5000)
	for i := 0; i < len(order); i += 50 {
		var ops []entry.Op
		for _, n := range order[i : i+50] {
			ops = append(ops, adding(fmt.Sprint(n), uint32(1_000_000+n), fmt.Sprint("data ", n)))
		}
		for _, st := range do(t, m, entry.Header{Stamp: 5, Capacity: 1000}, ops...) {
			if st != wire.OK {
				t.Fatal(st)
			}
		}
		if i%1000 == 0 {
			flush(t, m)
		}
	}
	check := func() {
		t.Helper()
		if m.Len() != 1000 {
			t.Fatalf("%d sessions", m.Len())
		}
		for n := range 5000 {
			if want := n >= 4000; m.Have([]byte(fmt.Sprint(n))) != want {
				t.Fatalf("session %d: there is %v", n, !want)
			}
		}
		if get(t, m, "4000") != "data 4000" || get(t, m, "4999") != "data 4999" {
			t.Fatal("wrong data")
		}
	}
	check()
	m.Close()
	m = openAt(t, m.path, never)
	check()
	do(t, m, entry.Header{Stamp: 5, Capacity: 10})
	if m.Len() != 10 || !m.Have([]byte("4990")) {
		t.Errorf("a lower limit left %d sessions", m.Len())
	}
	do(t, m, at(5), adding("beyond", 1, "b"))
	if m.Len() != 11 {
		t.Errorf("without a limit there are %d", m.Len())
	}
}

// records counts what the file holds.
func records(t testing.TB, m *Machine) (n int) {
	t.Helper()
	err := m.db.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket(sessionsBucket).Stats().KeyN
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestShortLivedNeverTouchTheFile(t *testing.T) {
	m := newMachine(t, never)
	for i := range 100 {
		do(t, m, at(1), adding(fmt.Sprint(i), 1000, "data"))
	}
	for i := range 99 {
		do(t, m, at(1), removing(fmt.Sprint(i)))
	}
	set := func() *flushSet {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.take()
	}()
	if len(set.writes) != 1 || len(set.deletes) != 0 {
		t.Errorf("%d writes and %d deletes, want 1 and none", len(set.writes), len(set.deletes))
	}
	if m.held != len("data") {
		t.Errorf("%d bytes are held", m.held)
	}
}

// Removed while a flush is writing it: gone from the machine at once, and from the file with the next flush.
func TestRemovedDuringFlush(t *testing.T) {
	m := newMachine(t, never)
	do(t, m, at(1), adding("a", 1000, "old"), adding("b", 1000, "kept"))
	m.flushMu.Lock()
	m.mu.Lock()
	set := m.take()
	m.mu.Unlock()
	do(t, m, at(1), removing("a"), adding("a", 2000, "new"))
	if err := set.commit(m.db); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.settle(set)
	m.mu.Unlock()
	m.flushMu.Unlock()

	if get(t, m, "a") != "new" || get(t, m, "b") != "kept" {
		t.Error("wrong data between the flushes")
	}
	if m.held != len("new") {
		t.Errorf("%d bytes are held", m.held)
	}
	// A crash here: the file is as of before the removal.
	crash := filepath.Join(t.TempDir(), "state.db")
	copyFile(t, m.path, crash)
	if c := openAt(t, crash, never); get(t, c, "a") != "old" {
		t.Error("the file does not hold the state at its applied index")
	}
	flush(t, m)
	if n := records(t, m); n != 2 || m.held != 0 {
		t.Errorf("%d records, %d bytes held", n, m.held)
	}
	m.Close()
	m = openAt(t, m.path, never)
	if get(t, m, "a") != "new" || m.Len() != 2 {
		t.Error("wrong after reopening")
	}
}

// Apply waits for the flusher rather than hold ever more in memory.
func TestHoldBytes(t *testing.T) {
	o := never
	o.HoldBytes = 4000
	m := newMachine(t, o)
	for i := range 200 {
		do(t, m, at(1), adding(fmt.Sprint(i), 1000, string(make([]byte, 1000))))
		m.mu.RLock()
		if m.held > 5000 {
			t.Fatalf("%d bytes are held", m.held)
		}
		m.mu.RUnlock()
	}
	if index, _ := m.Flushed(); index == 0 {
		t.Error("nothing was flushed")
	}
}

// Close ends an Apply that waits for room.
func TestCloseEndsWaitingApply(t *testing.T) {
	o := never
	o.HoldBytes = 1
	m := newMachine(t, o)
	m.flushMu.Lock() // a flush that hangs
	do(t, m, at(1), adding("a", 1000, "data"))
	applied := make(chan error)
	go func() {
		_, err := m.Apply(2, 1, encode(at(1)))
		applied <- err
	}()
	m.mu.Lock()
	m.err = errors.New("disk")
	m.room.Broadcast()
	m.mu.Unlock()
	if err := <-applied; err == nil {
		t.Error("applied although the machine has failed")
	}
	m.flushMu.Unlock()
}

func TestCloseFlushes(t *testing.T) {
	m := newMachine(t, never)
	do(t, m, at(1), adding("a", 1000, "data"))
	m.Advance(7, 2)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"flush":   m.Flush(),
		"apply":   func() error { _, err := m.Apply(9, 2, encode(at(1))); return err }(),
		"get":     func() error { _, _, err := m.Get([]byte("a")); return err }(),
		"writeTo": func() error { _, err := streamTo(m, &bytes.Buffer{}); return err }(),
		"restore": m.Install(m.path),
	} {
		if err == nil {
			t.Errorf("%s works on a closed machine", what)
		}
	}
	m = openAt(t, m.path, never)
	if index, term := m.Applied(); index != 7 || term != 2 || get(t, m, "a") != "data" {
		t.Errorf("index %d, term %d", index, term)
	}
}

func TestMoved(t *testing.T) {
	m := newMachine(t, never)
	moved := m.Moved()
	select {
	case <-moved:
		t.Fatal("moved before anything was applied")
	default:
	}
	do(t, m, at(1))
	<-moved
	moved = m.Moved()
	m.Advance(5, 1)
	<-moved
}

// An entry that can't be read stops the machine: nothing of it, and nothing after it, gets into the file.
func TestMalformedEntryStops(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"cut":      func(b []byte) []byte { return b[:len(b)-1] },
		"trailing": func(b []byte) []byte { return append(b, 1) },
		"version":  func(b []byte) []byte { b[0] = 9; return b },
		"empty":    func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 10)
			m := newMachine(t, Options{FlushInterval: time.Millisecond, Failed: func(err error) { failed <- err }})
			do(t, m, at(1), adding("a", 1000, "data"))
			flush(t, m)
			bad := change(encode(at(1), adding("b", 1000, "data"), removing("a")))
			if _, err := m.Apply(2, 1, bad); !errors.Is(err, entry.ErrFormat) {
				t.Fatalf("got %v", err)
			}
			if _, err := m.Apply(3, 1, encode(at(1), adding("c", 1000, "data"))); err == nil {
				t.Error("the entry after it was applied")
			}
			m.Advance(4, 1)
			if err := <-failed; !errors.Is(err, entry.ErrFormat) {
				t.Errorf("Failed was told %v", err)
			}
			m.Close()
			m = openAt(t, m.path, never)
			if index, _ := m.Applied(); index != 1 || m.Len() != 1 || get(t, m, "a") != "data" {
				t.Errorf("the file holds %d sessions at index %d", m.Len(), index)
			}
		})
	}
}

func TestGetDuringEverything(t *testing.T) {
	m := newMachine(t, Options{FlushInterval: time.Millisecond})
	do(t, m, at(1), adding("steady", 1<<31, "steady data"))
	snapshot := new(bytes.Buffer)
	if _, err := streamTo(m, snapshot); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if data, ok, err := m.Get([]byte("steady")); err != nil || !ok || string(data) != "steady data" {
					t.Errorf("got %d bytes, %v, %v", len(data), ok, err)
					return
				}
				if _, _, err := m.Get([]byte("churn")); err != nil {
					t.Error(err)
					return
				}
				m.Flushed()
				m.Clock()
				m.Moved()
			}
		})
	}
	for i := range 8 {
		for range 40 {
			do(t, m, at(1), adding("churn", 1000, fmt.Sprint(i)))
			do(t, m, at(1), removing("churn"))
		}
		if err := m.Restore(bytes.NewReader(snapshot.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

func TestForeignAndDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, f func(tx *bbolt.Tx) error) string {
		path := filepath.Join(dir, name)
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(f); err != nil {
			t.Fatal(err)
		}
		db.Close()
		return path
	}
	ours := func(change func(sessions, meta *bbolt.Bucket) error) func(tx *bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			s, _ := tx.CreateBucket(sessionsBucket)
			m, _ := tx.CreateBucket(metaBucket)
			return errors.Join(m.Put(formatKey, formatValue), change(s, m))
		}
	}
	key := sessionKey(5, 1)
	for name, c := range map[string]struct {
		f    func(tx *bbolt.Tx) error
		want error
	}{
		"other buckets": {func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("logs")); return err }, ErrForeign},
		"another meta": {func(tx *bbolt.Tx) error {
			b, _ := tx.CreateBucket(metaBucket)
			return b.Put([]byte("k"), []byte("v"))
		}, ErrForeign},
		"a later format": {func(tx *bbolt.Tx) error {
			b, _ := tx.CreateBucket(metaBucket)
			return b.Put(formatKey, []byte("distcache state 2"))
		}, ErrForeign},
		"no sessions bucket": {func(tx *bbolt.Tx) error {
			b, _ := tx.CreateBucket(metaBucket)
			return b.Put(formatKey, formatValue)
		}, ErrForeign},
		"short key":        {ours(func(s, _ *bbolt.Bucket) error { return s.Put([]byte("k"), []byte("\x01id")) }), boltfile.ErrDamaged},
		"id over value":    {ours(func(s, _ *bbolt.Bucket) error { return s.Put(key[:], []byte("\x09id")) }), boltfile.ErrDamaged},
		"short applied":    {ours(func(_, m *bbolt.Bucket) error { return m.Put(appliedKey, []byte("x")) }), boltfile.ErrDamaged},
		"short clock":      {ours(func(_, m *bbolt.Bucket) error { return m.Put(clockKey, []byte("x")) }), boltfile.ErrDamaged},
		"malformed result": {ours(func(_, m *bbolt.Bucket) error { return m.Put(originKey(1), []byte("x")) }), boltfile.ErrDamaged},
		"one id twice": {ours(func(s, _ *bbolt.Bucket) error {
			k2 := sessionKey(5, 2)
			return errors.Join(s.Put(key[:], []byte("\x02iddata")), s.Put(k2[:], []byte("\x02iddata")))
		}), boltfile.ErrDamaged},
		"a bucket for a session": {ours(func(s, _ *bbolt.Bucket) error { _, err := s.CreateBucket(key[:]); return err }), boltfile.ErrDamaged},
	} {
		path := write(name, c.f)
		if m, err := Open(path, never); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
			if m != nil {
				m.Close()
			}
		}
		// Refused, and let go of.
		if db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 10 * time.Millisecond}); err != nil {
			t.Errorf("%s is still held: %v", name, err)
		} else {
			db.Close()
		}
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("text "), 10000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(text, never); !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("text: %v", err)
	}
}
