package state

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/wire"
)

const (
	second = 1000
	minute = 60 * second
	hour   = 60 * minute
)

// from is a request of a client session.
func from(clientSession, counter uint64, op entry.Op) entry.Op {
	op.Identity = entry.Identity{Origin: clientSession, Counter: counter, Low: 1}
	return op
}

// idle lets the clock of the client sessions go on by d: it takes entries to do that, at most clientSessionStep each.
func idle(t testing.TB, d uint64, ms ...*Machine) {
	t.Helper()
	for d > 0 {
		step := min(d, clientSessionStep)
		for _, m := range ms {
			stamp, _ := m.Clock()
			do(t, m, at(stamp+step))
		}
		d -= step
	}
}

// A leader whose clock is ahead has the log's time jump. What was asked before that and is asked again after it is not
// carried out twice, however far it jumps, and restarts and copies of the state make no difference.
func TestJumpForgetsNothing(t *testing.T) {
	m := newMachine(t, never)
	const start = 1_000_000
	add, remove := from(77, 1, adding("a", hour, "data")), from(77, 2, removing("b"))
	asked := func(stamp uint64) []wire.Status {
		t.Helper()
		return do(t, m, at(stamp), add, remove)
	}
	want := []wire.Status{wire.OK, wire.OK}
	do(t, m, at(start), from(5, 1, adding("b", 1<<31, "data")))
	if got := asked(start); !slices.Equal(got, want) {
		t.Fatalf("at first: %v", got)
	}
	if got := asked(start + 11*minute); !slices.Equal(got, want) {
		t.Errorf("after a jump: %v, want %v", got, want)
	}
	flush(t, m)
	m.Close()
	m = openAt(t, m.path, never)
	if got := asked(start + 24*hour); !slices.Equal(got, want) {
		t.Errorf("after a restart and a jump: %v, want %v", got, want)
	}
	var b bytes.Buffer
	if _, err := streamTo(m, &b); err != nil {
		t.Fatal(err)
	}
	m = newMachine(t, never)
	if err := restore(m, &b); err != nil {
		t.Fatal(err)
	}
	if got := asked(start + 999*hour); !slices.Equal(got, want) {
		t.Errorf("on a copy, after a jump: %v, want %v", got, want)
	}
}

func TestClientSessionsAreForgotten(t *testing.T) {
	m := newMachine(t, never)
	ask := func(clientSession, counter uint64) { do(t, m, at(0), from(clientSession, counter, removing("x"))) }
	have := func(want ...uint64) {
		t.Helper()
		flush(t, m)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		m = openAt(t, m.path, never)
		var got []uint64
		for id := range m.c.clientSessions.byID {
			got = append(got, id)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("the file has the client sessions %v, want %v", got, want)
		}
	}
	ask(1, 1)
	ask(2, 1)
	flush(t, m)
	idle(t, 9*minute, m)
	ask(2, 2)
	idle(t, 2*minute, m)
	ask(3, 1)
	have(2, 3)
	// Opened again in the very entry that drops it.
	idle(t, 10*minute, m)
	stamp, _ := m.Clock()
	got := do(t, m, at(stamp+clientSessionStep), from(2, 9, removing("x")), opening(2), from(2, 9, removing("x")))
	if !slices.Equal(got, []wire.Status{wire.Disconnected, wire.OK, wire.NotOK}) {
		t.Errorf("asked, opened again, and asked again: %v", got)
	}
	have(2)
}

// Whether a client session is forgotten depends on the log alone: not on when a machine last swept, which a restart
// forgets.
func TestForgettingIsDeterministic(t *testing.T) {
	calm, other := newMachine(t, never), newMachine(t, never)
	both := func(want wire.Status, op entry.Op) {
		t.Helper()
		if a, b := do(t, calm, at(0), op), do(t, other, at(0), op); a[0] != want || b[0] != want {
			t.Errorf("%v here, %v there, want %v", a, b, want)
		}
	}
	add := from(50, 1, adding("x", hour, "data"))
	both(wire.OK, add)
	idle(t, 10*minute-second, calm, other)
	both(wire.OK, removing("x"))
	other.Close()
	other = openAt(t, other.path, never)
	idle(t, 2*second, calm, other)
	both(wire.Disconnected, add)
	if have(t, calm, "x") {
		t.Error("what may have been carried out before is carried out again")
	}
	if a, b := dump(t, calm), dump(t, other); a != b {
		t.Errorf("the two differ\n%s\n%s", a, b)
	}
}

// Where entries are rare, client sessions are not forgotten soon; but there are no more of them than come with the
// entries that make one old.
func TestClientSessionsAreFewInAnIdleCluster(t *testing.T) {
	m := newMachine(t, never)
	const most = (clientSessionLife + clientSessionSweep) / clientSessionStep
	for i := range uint64(3 * most) {
		stamp, _ := m.Clock()
		do(t, m, at(stamp+24*hour), from(100+i, 1, removing("x")))
		if n := len(m.c.clientSessions.byID); n > most+2 {
			t.Fatalf("after %d entries there are %d client sessions", i+1, n)
		}
		if i%100 == 99 {
			flush(t, m)
		}
	}
	flush(t, m)
	m.Close()
	m = openAt(t, m.path, never)
	if n := len(m.c.clientSessions.byID); n > most+2 || n < clientSessionLife/clientSessionStep {
		t.Errorf("the file has %d client sessions", n)
	}
}

// A quarter of an hour of entries a second apart, in which each of a few processes is heard of now and then.
func TestClientSessionsAgeAtTheLogsPace(t *testing.T) {
	m := newMachine(t, never)
	for i := range uint64(15 * 60) {
		stamp, _ := m.Clock()
		do(t, m, at(stamp+second), from(1+i/60, 1+i, removing(fmt.Sprint(i))))
	}
	if n := len(m.c.clientSessions.byID); n < 10 || n > 12 {
		t.Errorf("of 15 client sessions, a minute each, there are %d", n)
	}
}
