package raftstore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// A clientSession gives the requests that this process takes from clients their identities, and knows which of them
// still wait for a result (Raft thesis, section 6.3). Its number is an entry.Identity's Origin.
type clientSession struct {
	id uint64

	mu      sync.Mutex
	low     uint64 // the lowest that waits, or the next to be given when none does
	waiting []bool // from low on
}

func newClientSession() *clientSession {
	var b [8]byte
	rand.Read(b[:])
	return &clientSession{id: binary.BigEndian.Uint64(b[:]), low: 1}
}

// begin gives a request its number. The caller ends it.
func (o *clientSession) begin() (counter uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, true)
	return o.low + uint64(len(o.waiting)) - 1
}

// identity is what a request with that number says of itself now.
func (o *clientSession) identity(counter uint64) entry.Identity {
	o.mu.Lock()
	defer o.mu.Unlock()
	return entry.Identity{Origin: o.id, Counter: counter, Low: o.low}
}

// end says that nobody waits for the request's result any more.
func (o *clientSession) end(counter uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting[counter-o.low] = false
	n := 0
	for n < len(o.waiting) && !o.waiting[n] {
		n++
	}
	o.low += uint64(n)
	o.waiting = o.waiting[n:]
}

// clientSessions has the session that is in use, once the log has it. The state machine forgets the results of a
// session that has been silent for long, and refuses its requests from then on: the process opens another session.
type clientSessions struct {
	open atomic.Pointer[clientSession] // nil: none is known to be open

	mu      sync.Mutex
	attempt chan struct{} // closed when the attempt to open one has ended; nil: none is under way
}

// get gives the open session, or has one opened: callers that ask meanwhile wait for that attempt. Each attempt is for
// a new session, which is in the log once at most: a forgotten session can't be opened again, late, with all its
// requests.
func (p *clientSessions) get(ctx context.Context, open func(*clientSession) error) (*clientSession, error) {
	if o := p.open.Load(); o != nil {
		return o, nil
	}
	p.mu.Lock()
	if o := p.open.Load(); o != nil {
		p.mu.Unlock()
		return o, nil
	}
	if attempt := p.attempt; attempt != nil {
		p.mu.Unlock()
		select {
		case <-attempt:
			if o := p.open.Load(); o != nil {
				return o, nil
			}
			return nil, errRetry
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	attempt := make(chan struct{})
	p.attempt = attempt
	p.mu.Unlock()

	o := newClientSession()
	err := open(o)
	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(attempt)
	p.attempt = nil
	if err != nil {
		return nil, err
	}
	p.open.Store(o)
	return o, nil
}

// expired notes that the state machine does not know a session any more.
func (p *clientSessions) expired(o *clientSession) { p.open.CompareAndSwap(o, nil) }
