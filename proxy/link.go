package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// A link is one connection to a server, with the requests under way on it.
type link struct {
	u    *upstream
	conn *client.Conn

	good, bad atomic.Uint64 // answers: those that were Disconnected are bad

	// mu is taken before that of conn. The connection calls flight.land without its own.
	mu      sync.Mutex
	flights wheel
}

func newLink(u *upstream, conn *client.Conn) *link {
	return &link{u: u, conn: conn, flights: newWheel(u.p.bounds.tick)}
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
	l.flights.add(f)
	return nil
}

func (l *link) remove(f *flight) {
	l.mu.Lock()
	l.flights.remove(f)
	l.mu.Unlock()
}

func (l *link) inFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flights.count
}

// takeReads takes back the requests that may be asked elsewhere.
func (l *link) takeReads() (taken []*flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flights.all(func(f *flight) {
		if f.read() {
			taken = l.take(taken, f)
		}
	})
	return taken
}

// take takes a request back and appends it to taken, unless it is being answered this moment.
func (l *link) take(taken []*flight, f *flight) []*flight {
	if canceled, _ := l.conn.Cancel(f.uid); !canceled {
		return taken
	}
	l.flights.remove(f)
	return append(taken, f)
}

// expire gives up the requests that are overdue. Whoever asked has given up by then; this frees their place.
func (l *link) expire(now time.Time) {
	l.mu.Lock()
	var overdue []*flight
	l.flights.overdue(now, func(f *flight) { overdue = l.take(overdue, f) })
	l.mu.Unlock()
	for _, f := range overdue {
		f.end(wire.Disconnected)
	}
}
