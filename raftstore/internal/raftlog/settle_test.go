package raftlog

import (
	"testing"

	"github.com/hashicorp/raft"
)

// TestSettle installs snapshots over logs with entries at some indexes, all of term 2.
func TestSettle(t *testing.T) {
	const term = 2
	type span struct{ first, last uint64 }
	for name, c := range map[string]struct {
		log         []span
		index, term uint64
		conflict    bool
		want        []span
	}{
		"no log":                      {nil, 5, 3, false, nil},
		"ends before it":              {[]span{{1, 4}}, 5, 3, false, nil},
		"begins behind it":            {[]span{{6, 9}}, 5, term, false, []span{{6, 9}}},
		"begins far behind it":        {[]span{{8, 9}}, 5, 3, false, []span{{8, 9}}},
		"has its last entry":          {[]span{{1, 5}}, 5, term, false, []span{{1, 5}}},
		"goes on behind it":           {[]span{{1, 9}}, 5, term, false, []span{{1, 9}}},
		"ends in another entry":       {[]span{{1, 5}}, 5, 3, true, nil},
		"another entry, and more":     {[]span{{1, 9}}, 5, 3, true, nil},
		"another entry, the first":    {[]span{{5, 9}}, 5, 3, true, nil},
		"a gap that a later one left": {[]span{{1, 3}, {8, 9}}, 5, 3, false, []span{{8, 9}}},
	} {
		t.Run(name, func(t *testing.T) {
			log := over(t, newMemoryLog(), Options{})
			has := func(spans []span) (list map[uint64]bool) {
				list = make(map[uint64]bool)
				for _, s := range spans {
					for index := s.first; index <= s.last; index++ {
						list[index] = true
					}
				}
				return list
			}
			for index := uint64(1); index < 12; index++ {
				if !has(c.log)[index] {
					continue
				}
				if err := log.StoreLog(&raft.Log{Index: index, Term: term}); err != nil {
					t.Fatal(err)
				}
			}
			err := log.Settle(c.index, c.term)
			if err != nil || log.Stale() != c.conflict {
				t.Errorf("a conflict: %v, %v, want %v", log.Stale(), err, c.conflict)
			}
			for index := uint64(1); index < 12; index++ {
				if got, want := log.GetLog(index, new(raft.Log)) == nil, has(c.want)[index]; got != want {
					t.Errorf("entry %d is there: %v, want %v", index, got, want)
				}
			}
		})
	}
}
