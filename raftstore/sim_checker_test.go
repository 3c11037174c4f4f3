package raftstore

import (
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
)

// The checker of the simulation tells stories that can be true from those that can't.
func TestSimVerdicts(t *testing.T) {
	const hour = time.Hour
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	op := func(kind wire.Op, value uint64, ok bool, call, ret int) simOp {
		return simOp{kind: kind, value: value, ok: ok, timeout: hour, call: ms(call), ret: ms(ret)}
	}
	lost := func(o simOp) simOp {
		o.unknown = true
		return o
	}
	brief := func(o simOp) simOp {
		o.timeout = ms(50)
		return o
	}
	add, rem, get, have := wire.OpAdd, wire.OpRemove, wire.OpGet, wire.OpHave
	for name, c := range map[string]struct {
		ops  []simOp
		want string
	}{
		"nothing":                     {nil, ""},
		"an ADD is seen":              {[]simOp{op(add, 1, true, 0, 1), op(get, 1, true, 2, 3)}, ""},
		"an ADD is not seen":          {[]simOp{op(add, 1, true, 0, 1), op(get, 0, false, 2, 3)}, "session lost"},
		"at the same time":            {[]simOp{op(add, 1, true, 0, 5), op(get, 0, false, 2, 3)}, ""},
		"a REMOVE is undone":          {[]simOp{op(add, 1, true, 0, 1), op(rem, 0, true, 2, 3), op(get, 1, true, 4, 5)}, "not linearizable"},
		"seen, then not":              {[]simOp{op(add, 1, true, 0, 9), op(get, 1, true, 2, 3), op(get, 0, false, 4, 5)}, "session lost"},
		"an unknown ADD, seen late":   {[]simOp{lost(op(add, 1, false, 0, 1)), op(get, 0, false, 2, 3), op(get, 1, true, 4, 5)}, ""},
		"an unknown ADD, seen twice":  {[]simOp{lost(op(add, 1, false, 0, 1)), op(get, 1, true, 2, 3), op(get, 0, false, 4, 5), op(get, 1, true, 6, 7)}, "not linearizable"},
		"an unknown REMOVE":           {[]simOp{op(add, 1, true, 0, 1), lost(op(rem, 0, false, 2, 3)), op(get, 1, true, 4, 5), op(have, 0, false, 6, 7)}, ""},
		"it was there already":        {[]simOp{op(add, 1, true, 0, 1), op(add, 2, false, 2, 3), op(get, 1, true, 4, 5)}, ""},
		"it was not there already":    {[]simOp{op(add, 1, false, 0, 1), op(get, 0, false, 2, 3)}, "not linearizable"},
		"carried out twice":           {[]simOp{op(add, 1, false, 0, 1), op(get, 1, true, 2, 3)}, "not linearizable"},
		"a REMOVE of nothing":         {[]simOp{op(rem, 0, true, 0, 1)}, "not linearizable"},
		"another's data":              {[]simOp{op(add, 1, true, 0, 1), op(get, 2, true, 2, 3)}, "not linearizable"},
		"it ends":                     {[]simOp{brief(op(add, 1, true, 0, 1)), op(get, 1, true, 40, 41), op(get, 0, false, 60, 61)}, ""},
		"it ends too early":           {[]simOp{brief(op(add, 1, true, 0, 1)), op(get, 0, false, 30, 31)}, "session lost"},
		"it ends a little late":       {[]simOp{brief(op(add, 1, true, 0, 1)), op(get, 1, true, 100, 101)}, ""},
		"it ends too late":            {[]simOp{brief(op(add, 1, true, 0, 1)), op(get, 1, true, 300, 301)}, "expired returned"},
		"it ended, and comes back":    {[]simOp{brief(op(add, 1, true, 0, 1)), op(get, 0, false, 60, 61), op(get, 1, true, 70, 71)}, "not linearizable"},
		"an ADD after the end":        {[]simOp{brief(op(add, 1, true, 0, 1)), op(add, 2, true, 60, 61), op(get, 2, true, 70, 71)}, ""},
		"an ADD before the end":       {[]simOp{op(add, 1, true, 0, 1), op(add, 2, true, 60, 61)}, "session lost"},
		"two ADDs at once, one stays": {[]simOp{op(add, 1, true, 0, 5), op(add, 2, false, 1, 4), op(get, 1, true, 6, 7)}, ""},
	} {
		if got := verdict(c.ops, time.Millisecond, simLate); got != c.want {
			t.Errorf("%s: %q, want %q%s", name, got, c.want, story(c.ops))
		}
	}
}
