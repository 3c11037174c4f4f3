package linked

import (
	"math/rand/v2"
	"slices"
	"testing"
)

type item struct {
	Links[item]
	n int
}

// A list behaves as a slice does, when elements are added and removed at both ends and in the middle, and added again.
func TestList(t *testing.T) {
	var l List[item, *item]
	var want, out []*item
	for n := range 8 {
		out = append(out, &item{n: n})
	}
	for range 2000 {
		if len(want) == 0 || len(out) > 0 && rand.N(2) == 0 {
			e := out[0]
			out = out[1:]
			l.Push(e)
			want = append(want, e)
		} else {
			i := rand.N(len(want))
			l.Remove(want[i])
			out = append(out, want[i])
			want = slices.Delete(want, i, i+1)
		}
		var got []*item
		for e := l.First(); e != nil; e = l.Next(e) {
			got = append(got, e)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the list has %d elements, not these %d in this order", len(got), len(want))
		}
	}
}
