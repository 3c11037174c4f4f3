package proxy

import (
	"time"

	"github.com/distcache/distcache/internal/linked"
)

// wheelSlots is how many lists a wheel has. A request of Config.Timeout is due within half a turn unless that is very
// long; those due later are looked at once in each turn.
const wheelSlots = 64

// A wheel holds flights by when they are due, to the tick, so that those overdue are found without a look at all the
// others: neither the order of sending nor that of the deadlines matters. Every operation but all takes the same time
// however many there are.
type wheel struct {
	tick  time.Duration
	began time.Time
	turn  int64 // the tick up to which all overdue have been taken; its list may have got others since
	count int
	slots [wheelSlots]linked.List[flight, *flight] // of the flights due in ticks that leave this remainder
}

func newWheel(tick time.Duration) wheel { return wheel{tick: tick, began: time.Now()} }

// tickOf is the tick in which a time lies.
func (w *wheel) tickOf(t time.Time) int64 { return int64(t.Sub(w.began) / w.tick) }

// add puts a flight in. One that is overdue already is found the next time.
func (w *wheel) add(f *flight) {
	f.slot = int(max(w.tickOf(f.deadline), w.turn) % wheelSlots)
	w.slots[f.slot].Push(f)
	w.count++
}

// remove takes out a flight that is in.
func (w *wheel) remove(f *flight) {
	w.slots[f.slot].Remove(f)
	w.count--
}

// overdue calls do, which may remove the flight, for each one whose deadline is before now.
func (w *wheel) overdue(now time.Time, do func(*flight)) {
	last := w.tickOf(now)
	for t := max(w.turn, last-wheelSlots+1); t <= last; t++ {
		w.each(t, func(f *flight) {
			if f.deadline.Before(now) {
				do(f)
			}
		})
	}
	w.turn = max(w.turn, last)
}

// all calls do, which may remove the flight, for each one, by deadline as far as the wheel tells them apart.
func (w *wheel) all(do func(*flight)) {
	for i := range int64(wheelSlots) {
		w.each(w.turn+i, do)
	}
}

func (w *wheel) each(tick int64, do func(*flight)) {
	slot := &w.slots[tick%wheelSlots]
	for f := slot.First(); f != nil; {
		next := slot.Next(f)
		do(f)
		f = next
	}
}
