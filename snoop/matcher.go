package snoop

import (
	"container/list"
	"time"

	"github.com/distcache/distcache/wire"
)

// maxOpen is how many unanswered requests of a connection are remembered. Past that number the oldest is forgotten, and
// its answer counts as an answer without a request. Servers and proxies have at most 512 requests of a connection under
// way.
const maxOpen = 4096

// An asked is a request that has not been answered.
type asked struct {
	uid   uint32
	op    wire.Op
	id    sessionID
	shown bool // the request passed the filters, so its answer does too
	at    time.Time
	place *list.Element // in the matcher's list
}

// A matcher finds the request of an answer: the oldest unanswered one with the same uid and operation.
type matcher struct {
	open map[uint64][]*asked // by key, the oldest first
	all  list.List           // of *asked, the oldest first
}

func key(uid uint32, op wire.Op) uint64 { return uint64(op)<<32 | uint64(uid) }

func (m *matcher) request(a *asked) {
	if m.open == nil {
		m.open = make(map[uint64][]*asked)
	}
	if m.all.Len() >= maxOpen {
		oldest := m.all.Front().Value.(*asked)
		m.answer(oldest.uid, oldest.op)
	}
	k := key(a.uid, a.op)
	m.open[k] = append(m.open[k], a)
	a.place = m.all.PushBack(a)
}

// answer removes and returns the request that is answered; nil when there is none.
func (m *matcher) answer(uid uint32, op wire.Op) *asked {
	k := key(uid, op)
	same := m.open[k]
	switch len(same) {
	case 0:
		return nil
	case 1:
		delete(m.open, k)
	default:
		m.open[k] = same[1:]
	}
	a := same[0]
	m.all.Remove(a.place)
	return a
}

// waiting is the number of requests without an answer.
func (m *matcher) waiting() int { return m.all.Len() }
