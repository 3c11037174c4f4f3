package raftlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/hashicorp/raft"
)

// A slowLog is a log in memory whose writes can be held up, and fail.
type slowLog struct {
	memoryLog
	mu     sync.Mutex
	turn   chan struct{} // held by whoever writes: full while the disk hangs
	err    error
	writes int
}

func newSlowLog() *slowLog { return &slowLog{memoryLog: newMemoryLog(), turn: make(chan struct{}, 1)} }

// hang makes writes wait until the returned function is called.
func (d *slowLog) hang() (resume func()) {
	d.turn <- struct{}{}
	return sync.OnceFunc(func() { <-d.turn })
}

func (d *slowLog) StoreLog(e *raft.Log) error { return d.StoreLogs([]*raft.Log{e}) }

func (d *slowLog) StoreLogs(es []*raft.Log) error {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.err != nil {
		return d.err
	}
	return d.memoryLog.StoreLogs(es)
}

func (d *slowLog) has(index uint64) bool {
	var e raft.Log
	return d.GetLog(index, &e) == nil
}

func always() bool { return true }
func never() bool  { return false }

func started(t *testing.T, d *slowLog, mayBeUnsynced func() bool) *Log {
	t.Helper()
	l := over(t, d, Options{})
	l.Started(mayBeUnsynced)
	return l
}

func entries(from, to uint64) (es []*raft.Log) {
	for i := from; i <= to; i++ {
		es = append(es, &raft.Log{Index: i, Term: 1, Data: fmt.Appendf(nil, "entry %d", i)})
	}
	return es
}

// holds checks that the log has these entries and no others, on disk or not.
func holds(t *testing.T, l *Log, from, to uint64) {
	t.Helper()
	first, err := l.FirstIndex()
	last, err2 := l.LastIndex()
	if err := errors.Join(err, err2); err != nil || first != from || last != to {
		t.Errorf("the log has %d to %d, not %d to %d (%v)", first, last, from, to, err)
	}
	for i := from; i <= to; i++ {
		var e raft.Log
		if err := l.GetLog(i, &e); err != nil || e.Index != i || string(e.Data) != fmt.Sprintf("entry %d", i) {
			t.Errorf("entry %d is %q, %v", i, e.Data, err)
		}
	}
	if err := l.GetLog(to+1, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("entry %d: %v", to+1, err)
	}
}

// TestReadersOwnWhatTheyGet: reading into a raft.Log a second time must not change the bytes of the first entry, which
// others share.
func TestReadersOwnWhatTheyGet(t *testing.T) {
	d := newSlowLog()
	l := started(t, d, always)
	if err := errors.Join(l.StoreLogs(entries(1, 1)), l.drain()); err != nil {
		t.Fatal(err)
	}
	l.newest = nil
	resume := d.hang()
	defer resume()
	if err := l.StoreLogs(entries(2, 3)); err != nil {
		t.Fatal(err)
	}
	var e raft.Log
	for _, i := range []uint64{2, 1, 3, 1} {
		if err := l.GetLog(i, &e); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, l, 1, 3)
}

func TestUnsyncedEntries(t *testing.T) {
	d := newSlowLog()
	l := started(t, d, always)
	resume := d.hang()
	for i := uint64(1); i <= 5; i++ {
		if err := l.StoreLogs(entries(2*i-1, 2*i)); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, l, 1, 10)
	if d.has(1) {
		t.Fatal("the disk does not hang")
	}
	waited := make(chan error, 1)
	go func() { waited <- l.WaitDurable(4) }()
	resume()
	if err := <-waited; err != nil || !d.has(4) {
		t.Errorf("waited for entry 4, and it is on disk: %v, %v", d.has(4), err)
	}
	if err := l.drain(); err != nil || !d.has(10) {
		t.Errorf("drained, and the last is on disk: %v, %v", d.has(10), err)
	}
	holds(t, l, 1, 10)
	// Entries that arrived while the disk was busy were written together.
	if d.writes > 2 {
		t.Errorf("%d writes", d.writes)
	}
}

// TestSyncedEntries: while entries must be synced, and for a membership change, StoreLogs returns when all entries are
// on disk.
func TestSyncedEntries(t *testing.T) {
	d := newSlowLog()
	if err := started(t, d, never).StoreLogs(entries(1, 3)); err != nil || !d.has(3) {
		t.Errorf("stored while entries may not be unsynced: on disk %v, %v", d.has(3), err)
	}

	d = newSlowLog()
	l := started(t, d, always)
	resume := d.hang()
	if err := l.StoreLogs(entries(1, 3)); err != nil {
		t.Fatal(err)
	}
	stored := make(chan error, 1)
	go func() {
		stored <- l.StoreLog(&raft.Log{Index: 4, Type: raft.LogConfiguration, Data: votersEntry("n1")})
	}()
	resume()
	if err := <-stored; err != nil || !d.has(3) || !d.has(4) {
		t.Errorf("a change of the membership is stored: on disk %v, and what was before it %v, %v", d.has(4), d.has(3), err)
	}
	if last, err := l.LastIndex(); err != nil || last != 4 {
		t.Errorf("the log ends at %d, %v", last, err)
	}
}

func TestDeleteRange(t *testing.T) {
	d := newSlowLog()
	l := started(t, d, always)
	if err := errors.Join(l.StoreLogs(entries(1, 10)), l.drain()); err != nil {
		t.Fatal(err)
	}
	resume := d.hang()
	if err := l.StoreLogs(entries(11, 20)); err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteRange(1, 5); err != nil { // does not wait for the unsynced entries behind 5
		t.Fatal(err)
	}
	holds(t, l, 6, 20)
	deleted := make(chan error, 1)
	go func() { deleted <- l.DeleteRange(15, 20) }()
	resume()
	if err := <-deleted; err != nil {
		t.Fatal(err)
	}
	holds(t, l, 6, 14)
	if err := errors.Join(l.StoreLogs(entries(15, 16)), l.drain()); err != nil {
		t.Fatal(err)
	}
	holds(t, l, 6, 16)
}

func TestFailedWrite(t *testing.T) {
	d := newSlowLog()
	d.err = errors.New("no space left")
	l := started(t, d, always)
	if err := l.StoreLogs(entries(1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := l.WaitDurable(1); !errors.Is(err, d.err) {
		t.Errorf("waiting for what could not be written: %v", err)
	}
	for name, err := range map[string]error{
		"store":       l.StoreLogs(entries(2, 2)),
		"drain":       l.drain(),
		"delete":      l.DeleteRange(1, 1),
		"other entry": l.WaitDurable(0),
	} {
		if !errors.Is(err, d.err) {
			t.Errorf("%s after that: %v", name, err)
		}
	}
}

// TestClose: Close writes the unsynced entries, and ends waits that would never end.
func TestClose(t *testing.T) {
	d := newSlowLog()
	l := started(t, d, always)
	resume := d.hang()
	if err := l.StoreLogs(entries(1, 3)); err != nil {
		t.Fatal(err)
	}
	waited, closed := make(chan error, 1), make(chan error, 1)
	go func() { waited <- l.WaitDurable(3) }()
	go func() { closed <- l.Close() }()
	if err := <-waited; !errors.Is(err, ErrClosed) {
		t.Errorf("a wait when the log is closed: %v", err)
	}
	resume()
	if err := <-closed; err != nil || !d.has(3) {
		t.Errorf("closed, and the last entry is on disk: %v, %v", d.has(3), err)
	}
	l.Close()
}

func TestBoundOfUnsyncedEntries(t *testing.T) {
	d := newSlowLog()
	l := started(t, d, always)
	resume := d.hang()
	if err := l.StoreLogs(entries(1, maxUnsynced)); err != nil {
		t.Fatal(err)
	}
	stored := make(chan error, 1)
	go func() { stored <- l.StoreLogs(entries(maxUnsynced+1, maxUnsynced+1)) }()
	resume()
	if err := <-stored; err != nil || !d.has(1) {
		t.Errorf("stored beyond the bound: others on disk %v, %v", d.has(1), err)
	}
}

// TestNewestEntries applies random operations, as Raft may, and compares the log with a log that keeps nothing in
// memory.
func TestNewestEntries(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, seed))
		want, term := newMemoryLog(), uint64(0)
		l := over(t, newMemoryLog(), Options{})
		l.Started(func() bool { return r.IntN(4) > 0 })
		for range 200 {
			first, _ := want.FirstIndex()
			last, _ := want.LastIndex()
			term++
			switch k := r.IntN(10); {
			case k == 0 && last > first: // what a snapshot replaces
				to := first + r.Uint64N(last-first)
				for want.GetLog(to+1, new(raft.Log)) != nil {
					to++ // raft.InmemStore would begin in a gap
				}
				if err := errors.Join(want.DeleteRange(first, to), l.DeleteRange(first, to)); err != nil {
					t.Fatal(err)
				}
			case k == 1 && last > first: // entries that a new leader does not have
				from := last - r.Uint64N(min(last-first, 20))
				if err := errors.Join(want.DeleteRange(from, last), l.DeleteRange(from, last)); err != nil {
					t.Fatal(err)
				}
			case k == 2 && last > first+20: // Raft does not do this
				if err := errors.Join(want.DeleteRange(last-10, last-5), l.DeleteRange(last-10, last-5)); err != nil {
					t.Fatal(err)
				}
			case k == 3 && last > 0: // a snapshot was received
				last += 1 + r.Uint64N(200)
				fallthrough
			default:
				var es []*raft.Log
				for i := range 1 + r.Uint64N(50) {
					es = append(es, &raft.Log{Index: last + 1 + i, Term: term})
				}
				if err := errors.Join(want.StoreLogs(es), l.StoreLogs(es)); err != nil {
					t.Fatal(err)
				}
			}
			sameEntries(t, l, want)
		}
	}
}

func sameEntries(t *testing.T, l *Log, want memoryLog) {
	t.Helper()
	a, _ := want.FirstIndex()
	b, _ := want.LastIndex()
	first, err := l.FirstIndex()
	last, err2 := l.LastIndex()
	if err := errors.Join(err, err2); err != nil || first != a || last != b {
		t.Fatalf("the log has %d to %d, not %d to %d (%v)", first, last, a, b, err)
	}
	for i := max(first, 1) - 1; i <= last+1; i++ {
		var got, e raft.Log
		err, err2 := l.GetLog(i, &got), want.GetLog(i, &e)
		if err != err2 || got.Index != e.Index || got.Term != e.Term {
			t.Fatalf("entry %d is of term %d, not %d (%v, %v)", i, got.Term, e.Term, err, err2)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.newest); n > max(keptEntries, l.behind) {
		t.Fatalf("%d entries are in memory, %d of them unsynced", n, l.behind)
	}
}
