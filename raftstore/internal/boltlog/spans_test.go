package boltlog

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSpans(t *testing.T) {
	t.Parallel()
	const top = 60
	r := rand.New(rand.NewPCG(1, 1))
	for round := range 200 {
		var s spans
		has := make(map[uint64]bool)
		for range 100 {
			a, b := r.Uint64N(top), r.Uint64N(top)
			if r.IntN(8) > 0 {
				s.add(a)
				has[a] = true
			} else {
				s.remove(a, b)
				for i := a; i <= b; i++ {
					delete(has, i)
				}
			}
			sameSpans(t, round, s, has, top)
		}
	}
}

func sameSpans(t *testing.T, round int, s spans, has map[uint64]bool, top uint64) {
	t.Helper()
	var all spans
	for i := uint64(0); i < top; i++ {
		switch n := len(all); {
		case !has[i]:
		case n > 0 && all[n-1].last+1 == i:
			all[n-1].last = i
		default:
			all = append(all, span{i, i})
		}
	}
	if len(all) != len(s) {
		t.Fatalf("round %d: %v, want %v", round, s, all)
	}
	for i := range all {
		if all[i] != s[i] {
			t.Fatalf("round %d: %v, want %v", round, s, all)
		}
	}
	for i := uint64(0); i < top; i++ {
		p, more, ok := s.from(i)
		if !ok {
			if len(s) > 0 && s[len(s)-1].last >= i {
				t.Fatalf("round %d: %v has nothing from %d", round, s, i)
			}
			continue
		}
		for j := i; j < p.first; j++ {
			if has[j] {
				t.Fatalf("round %d: %v from %d is %v", round, s, i, p)
			}
		}
		if p.first < i || !has[p.first] || has[p.last+1] || more != (p.last < s[len(s)-1].last) {
			t.Fatalf("round %d: %v from %d is %v, %v", round, s, i, p, more)
		}
	}
}

func TestSpansAtTheEnds(t *testing.T) {
	t.Parallel()
	var s spans
	for _, i := range []uint64{0, math.MaxUint64, math.MaxUint64 - 1, 1} {
		s.add(i)
	}
	if len(s) != 2 || s[0] != (span{0, 1}) || s[1] != (span{math.MaxUint64 - 1, math.MaxUint64}) {
		t.Error(s)
	}
	if s.remove(0, math.MaxUint64); len(s) != 0 {
		t.Error(s)
	}
}
