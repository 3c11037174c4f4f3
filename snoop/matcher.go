package snoop

import (
	"container/list"
	"time"

	"github.com/distcache/distcache/wire"
)

// maxOpen is how many unanswered requests a connection's matcher remembers. Past it the oldest is forgotten, and its
// answer, should it come, belongs to no request. Servers and proxies have 512 under way.
const maxOpen = 4096

// An asked is what is remembered of a request until its answer comes.
type asked struct {
	uid   uint32
	op    wire.Op
	id    sessionID
	shown bool // it passed the filters, and so will its answer
	at    time.Time
	place *list.Element // in the matcher's list
}

// A matcher finds the request that an answer belongs to: the oldest unanswered of that uid and operation.
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

// answer takes out the request that is answered; nil when there is none.
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
