package snoop

import (
	"testing"

	"github.com/distcache/distcache/wire"
)

func TestMatcher(t *testing.T) {
	var m matcher
	first := &asked{uid: 1, op: wire.OpGet}
	second := &asked{uid: 1, op: wire.OpGet}
	other := &asked{uid: 1, op: wire.OpHave}
	for _, a := range []*asked{first, other, second} {
		m.request(a)
	}
	for _, want := range []*asked{first, second, nil} {
		if got := m.answer(1, wire.OpGet); got != want {
			t.Errorf("got %p, want %p", got, want)
		}
	}
	if m.answer(2, wire.OpHave) != nil || m.answer(1, wire.OpHave) != other || m.waiting() != 0 || len(m.open) != 0 {
		t.Error("the rest is wrong")
	}
}

func TestMatcherIsBounded(t *testing.T) {
	for name, uid := range map[string]func(i int) uint32{
		"all different": func(i int) uint32 { return uint32(i) },
		"all the same":  func(int) uint32 { return 7 },
	} {
		var m matcher
		for i := range 2*maxOpen + 10 {
			m.request(&asked{uid: uid(i), id: sessionID{size: i}})
		}
		if m.waiting() != maxOpen || len(m.open) > maxOpen {
			t.Errorf("%s: %d requests are remembered", name, m.waiting())
		}
		oldest := m.answer(uid(maxOpen+10), wire.OpAdd)
		if oldest == nil || oldest.id.size != maxOpen+10 {
			t.Errorf("%s: the oldest is %+v", name, oldest)
		}
	}
}
