package proxy

import "time"

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
	slots [wheelSlots]struct{ first, last *flight } // of the flights due in ticks that leave this remainder
}

func newWheel(tick time.Duration) wheel { return wheel{tick: tick, began: time.Now()} }

// tickOf is the tick in which a time lies.
func (w *wheel) tickOf(t time.Time) int64 { return int64(t.Sub(w.began) / w.tick) }

// add puts a flight in. One that is overdue already is found the next time.
func (w *wheel) add(f *flight) {
	f.slot = int(max(w.tickOf(f.deadline), w.turn) % wheelSlots)
	s := &w.slots[f.slot]
	f.prev, f.next = s.last, nil
	if s.last == nil {
		s.first = f
	} else {
		s.last.next = f
	}
	s.last = f
	w.count++
}

// remove takes out a flight that is in.
func (w *wheel) remove(f *flight) {
	s := &w.slots[f.slot]
	if f.prev == nil {
		s.first = f.next
	} else {
		f.prev.next = f.next
	}
	if f.next == nil {
		s.last = f.prev
	} else {
		f.next.prev = f.prev
	}
	f.prev, f.next = nil, nil
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
	for f := w.slots[tick%wheelSlots].first; f != nil; {
		next := f.next
		do(f)
		f = next
	}
}
