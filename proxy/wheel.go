package proxy

import (
	"time"

	"github.com/distcache/distcache/internal/linked"
)

// wheelSlots is how many lists a wheel has. A call is due within half a turn unless Config.Timeout is very long. Calls
// that are due in a later turn are looked at once in each turn.
const wheelSlots = 64

// A wheel (a hashed timing wheel) keeps calls in lists by the tick of their deadline, so that overdue calls are found
// without a look at the others. Calls may be added in any order. Every method but all takes a time that does not depend
// on the number of calls.
type wheel struct {
	tick  time.Duration
	began time.Time
	turn  int64 // overdue was last called in this tick; calls may have been added to its list since
	count int
	slots [wheelSlots]linked.List[call, *call] // of the calls due in ticks that leave this remainder
}

func newWheel(tick time.Duration) wheel { return wheel{tick: tick, began: time.Now()} }

// tickOf is the tick in which a time lies.
func (w *wheel) tickOf(t time.Time) int64 { return int64(t.Sub(w.began) / w.tick) }

// add adds a call. If the call is overdue already, the next overdue finds it.
func (w *wheel) add(c *call) {
	c.slot = int(max(w.tickOf(c.deadline), w.turn) % wheelSlots)
	w.slots[c.slot].Push(c)
	w.count++
}

// remove removes a call that was added.
func (w *wheel) remove(c *call) {
	w.slots[c.slot].Remove(c)
	w.count--
}

// overdue calls do for each call whose deadline is before now. do may remove the call.
func (w *wheel) overdue(now time.Time, do func(*call)) {
	last := w.tickOf(now)
	for t := max(w.turn, last-wheelSlots+1); t <= last; t++ {
		w.each(t, func(c *call) {
			if c.deadline.Before(now) {
				do(c)
			}
		})
	}
	w.turn = max(w.turn, last)
}

// all calls do for each call, roughly in the order of their deadlines. do may remove the call.
func (w *wheel) all(do func(*call)) {
	for i := range int64(wheelSlots) {
		w.each(w.turn+i, do)
	}
}

func (w *wheel) each(tick int64, do func(*call)) {
	slot := &w.slots[tick%wheelSlots]
	for c := slot.First(); c != nil; {
		next := slot.Next(c)
		do(c)
		c = next
	}
}
