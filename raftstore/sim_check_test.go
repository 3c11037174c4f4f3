package raftstore

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/distcache/distcache/wire"
)

// never is when a call ends whose outcome is not known: its effect may come at any time after it began.
const never = time.Duration(math.MaxInt64)

// A simOp is one call of a client, on one id, in the time of the simulation.
type simOp struct {
	kind      wire.Op
	value     uint64 // that an ADD stored, or a GET returned
	ok        bool   // ADD: stored; REMOVE: removed; GET, HAVE: it is there
	unknown   bool   // a write that may have been carried out, or will be
	timeout   time.Duration
	call, ret time.Duration
	by        string // client and node
}

func (o simOp) String() string {
	name := map[wire.Op]string{wire.OpAdd: "ADD", wire.OpRemove: "REMOVE", wire.OpGet: "GET", wire.OpHave: "HAVE"}[o.kind]
	end, out := o.ret.Round(10*time.Microsecond).String(), "no"
	switch {
	case o.unknown:
		out = "?"
		if o.ret == never {
			end = "…"
		}
	case o.ok:
		out = "ok"
	}
	s := fmt.Sprintf("%v–%s %s %s", o.call.Round(10*time.Microsecond), end, o.by, name)
	if o.kind == wire.OpAdd || o.kind == wire.OpGet && o.ok {
		s += fmt.Sprintf(" #%d", o.value)
	}
	if o.kind == wire.OpAdd {
		s += " for " + o.timeout.String()
	}
	return s + " " + out
}

// bounds are what a checker lets pass.
type bounds struct {
	early  time.Duration // by so much a session may end before its end
	late   time.Duration // for so long after its end a session may be returned
	lost   bool          // a session may end at any time
	undead bool          // a session may be returned at any time after its end
}

// A checker looks for an order of the calls on one id in which each had its effect at one moment between its call and
// its return (Wing and Gong's search, with the states that were found to lead nowhere remembered). A session ends at a
// moment of its own, by its timeout, counted from the moment at which its ADD had its effect.
type checker struct {
	bounds
	ops  []simOp // by call
	dead map[position]bool
}

const maxOps = 256

type position struct {
	done [maxOps / 64]uint64
	// at is the ADD whose session is there, -1 for none.
	at int
}

func (p position) has(i int) bool { return p.done[i/64]&(1<<(i%64)) != 0 }

func (p position) with(i, at int) position {
	p.done[i/64] |= 1 << (i % 64)
	p.at = at
	return p
}

// prepare sorts the calls, and leaves out those that say nothing. An ADD of unknown outcome that was seen had its
// effect before.
func prepare(ops []simOp) []simOp {
	seen := map[uint64]time.Duration{}
	for _, o := range ops {
		if o.kind == wire.OpGet && o.ok {
			if t, ok := seen[o.value]; !ok || o.ret < t {
				seen[o.value] = o.ret
			}
		}
	}
	var kept []simOp
	for _, o := range ops {
		write := o.kind == wire.OpAdd || o.kind == wire.OpRemove
		if o.unknown && !write {
			continue
		}
		if o.unknown {
			o.ret = never
			if t, ok := seen[o.value]; ok && o.kind == wire.OpAdd {
				o.ret = max(t, o.call)
			}
		}
		kept = append(kept, o)
	}
	slices.SortStableFunc(kept, func(a, b simOp) int { return cmp.Compare(a.call, b.call) })
	return kept
}

// linearizable tells whether there is an order for these calls. It gives up, and says there is, when there are too
// many.
func linearizable(ops []simOp, b bounds) bool {
	if len(ops) > maxOps {
		return true
	}
	c := &checker{bounds: b, ops: ops, dead: map[position]bool{}}
	return c.search(position{at: -1})
}

// search tries all orders of what is left. It may give up after very many.
func (c *checker) search(p position) bool {
	if c.dead[p] || len(c.dead) > 1<<19 {
		return len(c.dead) > 1<<19
	}
	for {
		earliest, open := never, 0
		for i := range c.ops {
			if !p.has(i) {
				if !c.ops[i].unknown {
					open++
				}
				earliest = min(earliest, c.ops[i].ret)
			}
		}
		if open == 0 {
			return true
		}
		free := false
		for i, o := range c.ops {
			if o.call > earliest {
				break
			}
			if p.has(i) {
				continue
			}
			if at, ok := c.step(p.at, i); ok && at == p.at && !o.unknown { // it takes nothing from the others
				p, free = p.with(i, at), true
				break
			}
		}
		if free {
			continue
		}
		for i, o := range c.ops {
			if o.call > earliest {
				break
			}
			if p.has(i) {
				continue
			}
			if at, ok := c.step(p.at, i); ok && c.search(p.with(i, at)) {
				return true
			}
		}
		c.dead[p] = true
		return false
	}
}

// there tells whether the session of an ADD may be there for a call, gone whether it may have ended.
func (c *checker) there(at int, o simOp) bool {
	if at < 0 {
		return false
	}
	add := c.ops[at]
	return c.undead || add.ret == never || o.call <= add.ret+add.timeout+c.late
}

func (c *checker) gone(at int, o simOp) bool {
	return at < 0 || c.lost || o.ret == never || o.ret >= c.ops[at].call+c.ops[at].timeout-c.early
}

// step is what is there after a call had its effect; false when it could not have had the one that it had. Of one whose
// outcome is unknown only that is of interest which changes something.
func (c *checker) step(at, i int) (int, bool) {
	o := c.ops[i]
	there, gone := c.there(at, o), c.gone(at, o)
	switch o.kind {
	case wire.OpAdd:
		if o.ok || o.unknown {
			return i, gone
		}
		return at, there
	case wire.OpRemove:
		if o.ok || o.unknown {
			return -1, there
		}
		return -1, gone
	case wire.OpGet:
		if o.ok {
			return at, there && c.ops[at].value == o.value
		}
	case wire.OpHave:
		if o.ok {
			return at, there
		}
	}
	return -1, gone
}

// verdict is what is wrong with the calls on one id, empty if nothing is.
func verdict(ops []simOp, early, late time.Duration) string {
	ops = prepare(ops)
	switch {
	case linearizable(ops, bounds{early: early, late: late}):
		return ""
	case linearizable(ops, bounds{early: early, undead: true}):
		return "expired returned"
	case linearizable(ops, bounds{early: early, late: late, lost: true}):
		return "session lost"
	}
	return "not linearizable"
}

// story is the calls on an id, one a line.
func story(ops []simOp) string {
	var b strings.Builder
	for _, o := range prepare(ops) {
		fmt.Fprintf(&b, "\n\t\t%s", o)
	}
	return b.String()
}
