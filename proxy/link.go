package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// A link is one connection to a server, with the calls under way on it.
type link struct {
	u    *upstream
	conn *client.Conn

	good, bad atomic.Uint64 // answers; Disconnected is a bad one

	// mu is taken before the mutex of conn. The connection does not hold its mutex when it calls call.reply.
	mu    sync.Mutex
	calls wheel
}

func newLink(u *upstream, conn *client.Conn) *link {
	return &link{u: u, conn: conn, calls: newWheel(u.p.bounds.tick)}
}

// start sends a call. After an error nothing of it was sent.
func (l *link) start(c *call) error {
	c.link = l
	l.mu.Lock()
	defer l.mu.Unlock()
	uid, err := l.conn.Start(c.op, c.payload, c.onReply)
	if err != nil {
		return err
	}
	c.uid = uid
	l.calls.add(c)
	return nil
}

func (l *link) remove(c *call) {
	l.mu.Lock()
	l.calls.remove(c)
	l.mu.Unlock()
}

func (l *link) inFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls.count
}

// takeReads takes back the calls that may be sent elsewhere: reads.
func (l *link) takeReads() (taken []*call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls.all(func(c *call) {
		if c.isRead() {
			taken = l.take(taken, c)
		}
	})
	return taken
}

// take takes a call back and appends it to taken, unless its answer is being handled at this moment.
func (l *link) take(taken []*call, c *call) []*call {
	if canceled, _ := l.conn.Cancel(c.uid); !canceled {
		return taken
	}
	l.calls.remove(c)
	return append(taken, c)
}

// expire ends the calls that are overdue. Their clients have been answered by then; this frees the calls' memory and
// their places on the connection.
func (l *link) expire(now time.Time) {
	l.mu.Lock()
	var overdue []*call
	l.calls.overdue(now, func(c *call) { overdue = l.take(overdue, c) })
	l.mu.Unlock()
	for _, c := range overdue {
		c.end(wire.Disconnected)
	}
}
