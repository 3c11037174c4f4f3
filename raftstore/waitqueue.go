package raftstore

import (
	"cmp"
	"container/list"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// maxWaitingOps bounds the operations in the wait queue, and Config.Waiting, which is maxWaitingBytes unless it is
// given, their size by entry.Size; further ones are turned away. With large sessions the count alone would let in 4 GiB. Nothing else on this node bounds the operations
// that other nodes forward; each of those nodes bounds its own.
const (
	maxWaitingOps   = 1 << 17
	maxWaitingBytes = 256 << 20
)

// queuePatience is how long an operation waits. Operations of this node's clients are taken back at their deadline; a
// node that has forwarded an operation can't take it back, and has given up by then.
const queuePatience = 2 * time.Second

// A waitQueue has the operations for which no batch has room, in the order in which they came. They wait instead of
// being asked again and again: with ten thousands of them, nothing else would be done.
type waitQueue struct {
	list.List
	bytes int
	most  int // of bytes; 0: maxWaitingBytes
}

// A queued operation's bytes stay its owner's until the operation has left the queue.
type queued struct {
	op    entry.Op
	w     waiter
	since time.Time
	at    *list.Element // nil: it has left
}

func (p *queued) size() int { return entry.Size(len(p.op.ID), len(p.op.Data)) }

// join puts an operation at the end; nil when the queue is full.
func (l *waitQueue) join(op *entry.Op, w waiter) *queued {
	if l.Len() >= maxWaitingOps || l.bytes+entry.Size(len(op.ID), len(op.Data)) > cmp.Or(l.most, maxWaitingBytes) {
		return nil
	}
	p := &queued{op: *op, w: w, since: time.Now()}
	p.at = l.PushBack(p)
	l.bytes += p.size()
	return p
}

// leave takes an operation out; false when the operation has left before.
func (l *waitQueue) leave(p *queued) bool {
	if p.at == nil {
		return false
	}
	l.Remove(p.at)
	l.bytes -= p.size()
	p.at = nil
	return true
}

// first is the operation that is next, nil when none waits.
func (l *waitQueue) first() *queued {
	if e := l.Front(); e != nil {
		return e.Value.(*queued)
	}
	return nil
}
