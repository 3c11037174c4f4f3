package boltlog

import (
	"slices"
	"sort"
)

// A span is all indexes from first to last.
type span struct{ first, last uint64 }

// spans are a set of indexes: few spans, in order, none next to another. A log is one span, and another one after each
// gap that a received snapshot has left.
type spans []span

// at is where the first span is that ends at or behind an index.
func (s spans) at(index uint64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].last >= index })
}

func (s *spans) add(index uint64) {
	i := s.at(index)
	if i < len(*s) && (*s)[i].first <= index {
		return
	}
	before := i > 0 && index-(*s)[i-1].last == 1
	after := i < len(*s) && (*s)[i].first-index == 1
	switch {
	case before && after:
		(*s)[i-1].last = (*s)[i].last
		*s = slices.Delete(*s, i, i+1)
	case before:
		(*s)[i-1].last = index
	case after:
		(*s)[i].first = index
	default:
		*s = slices.Insert(*s, i, span{index, index})
	}
}

func (s *spans) remove(first, last uint64) {
	if first > last {
		return
	}
	i := s.at(first)
	j := i
	var rest spans
	for ; j < len(*s) && (*s)[j].first <= last; j++ {
		if x := (*s)[j]; x.first < first {
			rest = append(rest, span{x.first, first - 1})
		}
		if x := (*s)[j]; x.last > last {
			rest = append(rest, span{last + 1, x.last})
		}
	}
	*s = slices.Replace(*s, i, j, rest...)
}

// from is the first piece without a gap of what is at or behind an index, and whether there is more behind it. False when
// there is none.
func (s spans) from(index uint64) (piece span, more, ok bool) {
	i := s.at(index)
	if i == len(s) {
		return span{}, false, false
	}
	return span{max(s[i].first, index), s[i].last}, i+1 < len(s), true
}
