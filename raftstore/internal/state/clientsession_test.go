package state

import (
	"slices"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/wire"
)

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
	if n := len(m.c.clientSessions.byID[77].window); n > 20 {
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
	var o *clientSession
	for c := uint64(1); c <= 20_000; c++ {
		low := max(c, 8) - 7
		do(t, m, at(1), entry.Op{
			Kind: entry.Remove, Identity: entry.Identity{Origin: 5, Counter: c, Low: low}, ID: []byte("x")})
		o = m.c.clientSessions.byID[5]
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
	if o := m.c.clientSessions.byID[5]; o != nil && cap(o.window) > 1024 {
		t.Errorf("a window of %d was allocated", cap(o.window))
	}
}

// What belongs to a client session that is not known is refused, and leaves nothing behind; nor does opening one again
// change what has been recorded.
func TestUnknownClientSession(t *testing.T) {
	m := newMachine(t, never)
	apply := func(ops ...entry.Op) []wire.Status {
		t.Helper()
		index, _ := m.Applied()
		st, err := m.Apply(index+1, 1, encode(at(1), ops...))
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	add := from(9, 1, adding("a", 1000, "data"))
	want := []wire.Status{wire.Disconnected, wire.OK, wire.OK, wire.NotOK, wire.OK}
	if got := apply(add, opening(9), add, opening(9), add); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	refused := []wire.Status{wire.Disconnected, wire.Disconnected}
	if got := apply(from(10, 1, removing("a")), from(10, 2, adding("b", 1000, "data"))); !slices.Equal(got, refused) {
		t.Errorf("of another: %v", got)
	}
	if !have(t, m, "a") || have(t, m, "b") || len(m.c.clientSessions.byID) != 1 {
		t.Errorf("have a: %v, b: %v, %d client sessions", have(t, m, "a"), have(t, m, "b"), len(m.c.clientSessions.byID))
	}
}

// Client sessions are bounded, and so are their records, whatever an entry has.
func TestClientSessionsAreBounded(t *testing.T) {
	m := newMachine(t, never)
	const each = 200
	index, _ := m.Applied()
	index += 1000 // numbers that nobody has
	var last []wire.Status
	for range maxClientSessions/each + 2 {
		var ops []entry.Op
		for range each {
			index++
			ops = append(ops, entry.Op{Kind: entry.Session, Identity: entry.Identity{Origin: index}},
				entry.Op{Kind: entry.Remove, ID: []byte("id"), Identity: entry.Identity{Origin: index, Counter: 10, Low: 1}})
		}
		b := entry.Begin(nil)
		for i := range ops {
			b = entry.AppendOp(b, &ops[i])
		}
		entry.Seal(b, entry.Header{Stamp: 1000, Count: len(ops)})
		var err error
		if last, err = m.Apply(index, 1, b); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.c.clientSessions.byID); n != maxClientSessions {
		t.Errorf("%d client sessions", n)
	}
	if last[0] != wire.NotOK || last[1] != wire.Disconnected {
		t.Errorf("one too many is answered %v, and its request %v", last[0], last[1])
	}
}
