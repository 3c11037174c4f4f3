package state

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/wire"
)

func at(stamp uint64) entry.Header { return entry.Header{Stamp: stamp} }

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
			if want := n >= 4000; have(t, m, fmt.Sprint(n)) != want {
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
	if m.Len() != 10 || !have(t, m, "4990") {
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
		"get":     func() error { _, _, err := m.Get([]byte("a"), 0); return err }(),
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

// An entry that can't be read stops the machine: nothing of it, and nothing after it, gets into the file.
func TestMalformedEntryStops(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"cut":      func(b []byte) []byte { return b[:len(b)-1] },
		"trailing": func(b []byte) []byte { return append(b, 1) },
		"changed":  func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"cut before it was sealed": func(b []byte) []byte {
			b = b[:len(b)-1]
			entry.Seal(b, entry.Header{Stamp: at(1).Stamp, Count: 2})
			return b
		},
		"version": func(b []byte) []byte { b[0] = 9; return b },
		"empty":   func([]byte) []byte { return nil },
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

// A read that goes on while its session is flushed, removed or replaced with the whole file finds what was there at
// some moment since it began: never what was removed before, and never nothing where a session stays.
func TestGetDuringEverything(t *testing.T) {
	m := newMachine(t, Options{FlushInterval: time.Millisecond})
	do(t, m, at(1), adding("steady", 1<<31, "steady data"))
	snapshot := new(bytes.Buffer)
	if _, err := streamTo(m, snapshot); err != nil {
		t.Fatal(err)
	}
	var added, removed, found atomic.Int64 // numbers of the sessions that churn has been
	var wg sync.WaitGroup
	ended := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				if data, ok, err := m.Get([]byte("steady"), 0); err != nil || !ok || string(data.Bytes) != "steady data" {
					t.Errorf("got %d bytes, %v, %v", len(data.Bytes), ok, err)
					return
				}
				least := removed.Load() + 1
				data, ok, err := m.Get([]byte("churn"), 0)
				if ok {
					found.Add(1)
					n, _ := strconv.ParseInt(string(data.Bytes), 10, 64)
					ok = n >= least && n <= added.Load()
				}
				if err != nil || !ok && data.Bytes != nil {
					t.Errorf("got %q, where it had to be %d or later: %v", data.Bytes, least, err)
					return
				}
				m.Flushed()
				m.Clock()
			}
		})
	}
	for range 8 {
		for i := range int64(12) {
			n := added.Add(1)
			do(t, m, at(1), adding("churn", 1000, fmt.Sprint(n)))
			before := found.Load()
			if i%2 == 0 {
				m.Flush()
			}
			for found.Load() == before && !t.Failed() { // in memory, and in the file
				runtime.Gosched()
			}
			do(t, m, at(1), removing("churn"))
			removed.Store(n)
			if i%4 == 0 {
				m.Flush()
			}
		}
		if err := restore(m, bytes.NewReader(snapshot.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	close(ended)
	wg.Wait()
}

// A limit that is lower than before does not have one entry push out all that are too many.
func TestLimitMuchLower(t *testing.T) {
	m := newMachine(t, never)
	const n, limit = 3 * dropAtOnce, 10
	var ops []entry.Op
	for i := range n {
		ops = append(ops, adding(fmt.Sprint(i), 1_000_000+uint32(i), "data"))
	}
	do(t, m, entry.Header{Stamp: 1}, ops...)
	lower := entry.Header{Stamp: 1, Capacity: limit}
	do(t, m, lower)
	if got := m.Len(); got != n-dropAtOnce {
		t.Errorf("the first entry leaves %d of %d", got, n)
	}
	before := m.Len()
	if got := do(t, m, lower, adding("new", 2_000_000, "data")); got[0] != wire.OK || get(t, m, "new") != "data" {
		t.Errorf("to add one meanwhile: %v", got)
	}
	if got := m.Len(); got >= before {
		t.Errorf("with one more added there are %d, after %d", got, before)
	}
	for m.Len() > limit {
		before = m.Len()
		if do(t, m, lower); m.Len() >= before {
			t.Fatalf("another entry leaves %d of %d", m.Len(), before)
		}
	}
	if m.Len() != limit || get(t, m, "new") != "data" ||
		get(t, m, fmt.Sprint(n-1)) != "data" || have(t, m, fmt.Sprint(n-limit)) {
		t.Errorf("%d are left, and not those that expire last", m.Len())
	}
}

// TestManyExpireAtOnce: one entry does not have to drop them all, and they are gone all the same.
func TestManyExpireAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	m := openAt(t, path, never)
	const n = 2*dropAtOnce + 10
	var ops []entry.Op
	for i := range n {
		ops = append(ops, adding(fmt.Sprint(i), 1000+uint32(i%10), "old"))
	}
	ops = append(ops, adding("later", 100_000, "there"))
	do(t, m, entry.Header{Stamp: 1}, ops...)
	flush(t, m)
	last := fmt.Sprint(n - 1) // by its expiry it is among the last to be dropped
	got := do(t, m, entry.Header{Stamp: 5000}, removing(last), adding(last, 50_000, "new"))
	if got[0] != wire.NotOK || got[1] != wire.OK {
		t.Errorf("to remove and add what has expired: %v", got)
	}
	if m.Len() < dropAtOnce || m.Len() > n-dropAtOnce+2 {
		t.Errorf("after one entry there are %d", m.Len())
	}
	flush(t, m)
	m.Close()
	m = openAt(t, path, never) // with some that have expired
	again := fmt.Sprint(n - 11)
	if get(t, m, again) != "" || have(t, m, again) || get(t, m, last) != "new" || get(t, m, "later") != "there" {
		t.Error("what has expired is there, or what is there is not")
	}
	for i := range 2 {
		if _, next := m.Clock(); next > 5000 {
			t.Errorf("after %d entries more none is due", i)
		}
		do(t, m, entry.Header{Stamp: 5000})
	}
	flush(t, m)
	if m.Len() != 2 || get(t, m, last) != "new" || get(t, m, "later") != "there" {
		t.Errorf("in the end there are %d", m.Len())
	}
}

// A read goes by the later of the last stamp and the time that it is told, which changes nothing.
func TestReadAtATime(t *testing.T) {
	m := newMachine(t, never)
	do(t, m, at(1000), adding("a", 100, "data"))
	for _, flushed := range []bool{false, true} {
		for now, want := range map[uint64]bool{0: true, 1000: true, 1099: true, 1100: false, 1 << 60: false} {
			data, there, err := m.Get([]byte("a"), now)
			has, err2 := m.Have([]byte("a"), now)
			if err != nil || err2 != nil || there != want || has != want || want != (string(data.Bytes) == "data") {
				t.Errorf("at %d, flushed %v: get %v, %v, have %v, %v; want %v", now, flushed, there, err, has, err2, want)
			}
		}
		flush(t, m)
	}
	do(t, m, at(1100))
	if have(t, m, "a") {
		t.Error("it is there after the stamp at which it expires")
	}
}

// Sessions that go by themselves are counted, by why they go.
func TestDroppedAreCounted(t *testing.T) {
	var expired, evicted int
	o := never
	o.Dropped = func(e, p int) { expired, evicted = expired+e, evicted+p }
	m := openAt(t, filepath.Join(t.TempDir(), "state.db"), o)
	is := func(e, p int) {
		t.Helper()
		if expired != e || evicted != p {
			t.Errorf("%d have expired and %d were pushed out, want %d and %d", expired, evicted, e, p)
		}
	}
	do(t, m, entry.Header{Stamp: 1000, Capacity: 2}, adding("a", 1000, "x"), adding("b", 5000, "x"))
	is(0, 0)
	do(t, m, entry.Header{Stamp: 1000, Capacity: 2}, adding("c", 5000, "x"))
	is(0, 1)
	do(t, m, entry.Header{Stamp: 1000, Capacity: 2}, removing("b"))
	is(0, 1)
	do(t, m, entry.Header{Stamp: 6000, Capacity: 2}, adding("d", 5000, "x"))
	is(1, 1)
	do(t, m, entry.Header{Stamp: 20000, Capacity: 2})
	is(2, 1)
}
