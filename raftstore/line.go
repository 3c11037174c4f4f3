package raftstore

import (
	"container/list"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// maxLine bounds the operations that stand in line, and maxLineBytes what they take, as entry.Size has it; more are turned
// away. With large sessions the count alone would let in 4 GiB. Other nodes' operations are held by nothing else here, and
// by those nodes' own listeners with as much for each.
const (
	maxLine      = 1 << 17
	maxLineBytes = 256 << 20
)

// linePatience is how long an operation stands in line. Those of this node's clients are taken back when their time is up;
// a node that has forwarded one can't, and will have given up about then.
const linePatience = 2 * time.Second

// A line is where operations stand for which no batch has room, in the order in which they came. They wait there instead
// of asking again and again: by the ten thousands, that would leave no time for anything else.
type line struct {
	list.List
	bytes int
}

// A place is an operation's in the line. The operation's bytes are its owner's until it has left.
type place struct {
	op    entry.Op
	w     waiter
	since time.Time
	at    *list.Element // nil: it has left
}

func (p *place) size() int { return entry.Size(len(p.op.ID), len(p.op.Data)) }

// join puts an operation at the end; nil when the line is too long.
func (l *line) join(op *entry.Op, w waiter) *place {
	if l.Len() >= maxLine || l.bytes+entry.Size(len(op.ID), len(op.Data)) > maxLineBytes {
		return nil
	}
	p := &place{op: *op, w: w, since: time.Now()}
	p.at = l.PushBack(p)
	l.bytes += p.size()
	return p
}

// leave takes an operation out; false when it has left before.
func (l *line) leave(p *place) bool {
	if p.at == nil {
		return false
	}
	l.Remove(p.at)
	l.bytes -= p.size()
	p.at = nil
	return true
}

// first is who is served next, nil when nobody waits.
func (l *line) first() *place {
	if e := l.Front(); e != nil {
		return e.Value.(*place)
	}
	return nil
}
