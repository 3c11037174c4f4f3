package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// A link is one connection to a server, with the requests under way on it, oldest first.
type link struct {
	u    *upstream
	conn *client.Conn

	good, bad atomic.Uint64 // answers: those that were Disconnected are bad

	// mu is taken before that of conn. The connection calls flight.land without its own.
	mu          sync.Mutex
	first, last *flight
	count       int
}

// start sends a request. The error says that nothing of it was sent.
func (l *link) start(f *flight) error {
	f.link = l
	l.mu.Lock()
	defer l.mu.Unlock()
	uid, err := l.conn.Start(f.op, f.payload, f.answered)
	if err != nil {
		return err
	}
	f.uid = uid
	f.prev, f.next = l.last, nil
	if l.last == nil {
		l.first = f
	} else {
		l.last.next = f
	}
	l.last = f
	l.count++
	return nil
}

func (l *link) remove(f *flight) {
	l.mu.Lock()
	l.unlink(f)
	l.mu.Unlock()
}

func (l *link) unlink(f *flight) {
	if f.prev == nil {
		l.first = f.next
	} else {
		f.prev.next = f.next
	}
	if f.next == nil {
		l.last = f.prev
	} else {
		f.next.prev = f.prev
	}
	f.prev, f.next = nil, nil
	l.count--
}

func (l *link) inFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// takeReads takes back the requests that may be asked elsewhere.
func (l *link) takeReads() []*flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	var taken []*flight
	for f := l.first; f != nil; {
		next := f.next
		if f.read() {
			taken = l.take(taken, f)
		}
		f = next
	}
	return taken
}

// take takes a request back and appends it to taken, unless it is being answered this moment.
func (l *link) take(taken []*flight, f *flight) []*flight {
	if canceled, _ := l.conn.Cancel(f.uid); !canceled {
		return taken
	}
	l.unlink(f)
	return append(taken, f)
}

// expire gives up the requests that are overdue. Whoever asked has given up by then; this frees their place.
func (l *link) expire(now time.Time) {
	l.mu.Lock()
	var overdue []*flight
	for f := l.first; f != nil && f.deadline.Before(now); {
		next := f.next
		overdue = l.take(overdue, f)
		f = next
	}
	l.mu.Unlock()
	for _, f := range overdue {
		f.done.Done(nil, wire.Disconnected)
	}
}
