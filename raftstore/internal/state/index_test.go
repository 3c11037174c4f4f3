package state

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// checkIndex holds an index against what must be in it.
func checkIndex(t *testing.T, x *index, want map[string]session) {
	t.Helper()
	if x.len() != len(want) {
		t.Fatalf("%d sessions, want %d", x.len(), len(want))
	}
	for id, w := range want {
		r := x.find([]byte(id))
		if r == 0 {
			t.Fatalf("%q is missing", id)
		}
		e := x.at(r)
		if e.expiry != w.expiry || e.seq != w.seq || string(x.appendID(nil, r)) != id {
			t.Fatalf("%q is %d %d %q", id, e.expiry, e.seq, x.appendID(nil, r))
		}
		if x.order[e.pos] != r {
			t.Fatalf("%q is not where it says in the order", id)
		}
	}
}

func TestIndexAgainstMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	x := newIndex()
	want := map[string]session{}
	for seq := uint64(1); seq <= 30_000; seq++ {
		// Ids of all lengths, many alike but for their ends.
		id := strings.Repeat("x", r.IntN(60)) + fmt.Sprint(r.IntN(3000))
		if found := x.find([]byte(id)); found != 0 {
			x.remove(found)
			delete(want, id)
			if x.find([]byte(id)) != 0 {
				t.Fatalf("%q was removed and is there", id)
			}
			continue
		}
		s := session{expiry: uint64(r.IntN(1000)), seq: seq}
		x.insert([]byte(id), s.expiry, s.seq, onDisk, false)
		want[id] = s
		if seq%5000 == 0 {
			checkIndex(t, x, want)
		}
	}
	checkIndex(t, x, want)
	if int(x.used) > 30_000 || len(x.long) > len(want) {
		t.Fatalf("%d entries and %d long ids for %d sessions", x.used, len(x.long), len(want))
	}
	// They come out in the order of expiry.
	var got []session
	for x.len() > 0 {
		first := x.next()
		got = append(got, session{expiry: x.at(first).expiry, seq: x.at(first).seq})
		x.remove(first)
	}
	if !slices.IsSortedFunc(got, func(a, b session) int {
		if a.before(&b) {
			return -1
		}
		return 1
	}) {
		t.Fatal("sessions came out of order")
	}
	if len(x.long) != 0 {
		t.Fatalf("%d long ids are left", len(x.long))
	}
}
