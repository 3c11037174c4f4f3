package loadtest

import (
	"errors"
	"fmt"
	"time"

	"github.com/distcache/distcache/wire"
)

// A model is what a checker knows about one of its sessions. Nobody else uses the session.
type model struct {
	id     []byte
	there  bool // after the last answer
	data   []byte
	number uint64    // the operation that added it
	least  time.Time // it lives at least until then: its timeout counted from the request
	most   time.Time // and at most until then: its timeout counted from the answer
}

// An exchange is a request and its answer.
type exchange struct {
	number          uint64
	op              wire.Op
	asked, answered time.Time
	data            []byte        // of an ADD, or the answer to a GET
	timeout         time.Duration // of an ADD, as the server has it
	err             error
	margin          time.Duration
}

// A WrongAnswer is a wrong answer, or none.
type WrongAnswer struct {
	Number        uint64 // of the operation, from 1
	Worker        int
	Op            wire.Op
	ID            string // the first bytes in hex
	Expected, Got string
	Err           error // what the store returned
	Outlived      bool  // the session is there past its timeout
}

// Error is the report for people.
func (w *WrongAnswer) Error() string {
	var status wire.Status
	if w.Err != nil && !errors.As(w.Err, &status) {
		return fmt.Sprintf("no answer to operation %d, %s of session %s (worker %d): %v",
			w.Number, w.Op, w.ID, w.Worker, w.Err)
	}
	return fmt.Sprintf("wrong answer at operation %d: %s of session %s (worker %d)\n  expected: %s\n  got:      %s",
		w.Number, w.Op, w.ID, w.Worker, w.Expected, w.Got)
}

// Unwrap returns the store's error.
func (w *WrongAnswer) Unwrap() error { return w.Err }

// judge checks an answer against the model, and then updates the model. Near its expiry a session may be there or not;
// otherwise only one answer is right.
func (m *model) judge(x exchange) *WrongAnswer {
	mayBeThere := m.there && !x.asked.After(m.most.Add(x.margin))
	mayBeAbsent := !m.there || !x.answered.Before(m.least.Add(-x.margin))
	yes := x.err == nil
	no := errors.Is(x.err, wire.NotOK)
	if x.op == wire.OpAdd {
		yes, no = errors.Is(x.err, wire.MatchingSession), x.err == nil
	}
	// From here on, yes means that the session was there, and no that it was not.
	switch {
	case yes && mayBeThere:
	case no && mayBeAbsent:
	default:
		return &WrongAnswer{Expected: m.expected(x, mayBeThere, mayBeAbsent), Got: got(x), Outlived: yes && m.there}
	}
	if yes && x.op == wire.OpGet {
		if d := differ(x.data, m.data); d != "" {
			return &WrongAnswer{Expected: m.expected(x, true, false), Got: d}
		}
	}
	switch {
	case x.op == wire.OpAdd && no:
		m.there, m.data, m.number = true, x.data, x.number
		m.least, m.most = x.asked.Add(x.timeout), x.answered.Add(x.timeout)
	case x.op == wire.OpRemove, no:
		m.there = false
	}
	return nil
}

// expected says which answers would have been right.
func (m *model) expected(x exchange, mayBeThere, mayBeAbsent bool) string {
	var there, absent string
	switch x.op {
	case wire.OpAdd:
		there, absent = wire.MatchingSession.Name(), wire.OK.Name()
	case wire.OpGet:
		there, absent = fmt.Sprintf("its %d bytes", len(m.data)), wire.NotOK.Name()
	default:
		there, absent = wire.OK.Name(), wire.NotOK.Name()
	}
	switch {
	case mayBeThere && mayBeAbsent:
		return fmt.Sprintf("%s or %s: it was added by operation %d and is about to expire", there, absent, m.number)
	case mayBeThere:
		return fmt.Sprintf("%s: it was added by operation %d and has %v to live", there, m.number,
			m.least.Sub(x.answered).Round(time.Millisecond))
	case m.there:
		return fmt.Sprintf("%s: it was added by operation %d and expired %v ago", absent, m.number,
			x.asked.Sub(m.most).Round(time.Millisecond))
	}
	return fmt.Sprintf("%s: it was removed, has expired, or was never added", absent)
}

// got says what the answer was.
func got(x exchange) string {
	var status wire.Status
	switch {
	case x.err == nil && x.op == wire.OpGet:
		return fmt.Sprintf("%d bytes of data", len(x.data))
	case x.err == nil:
		return wire.OK.Name()
	case errors.As(x.err, &status):
		return status.Name() + " (" + status.Error() + ")"
	}
	return "no answer"
}
