package raftstore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// An origin is a client session (Raft thesis, section 6.3): it gives the requests that this process takes from clients
// their identities, and keeps count of those that still wait for a result.
type origin struct {
	id uint64

	mu      sync.Mutex
	low     uint64 // the lowest that waits, or the next to be given when none does
	waiting []bool // from low on
}

func newOrigin() *origin {
	var b [8]byte
	rand.Read(b[:])
	return &origin{id: binary.BigEndian.Uint64(b[:]), low: 1}
}

// begin gives a request its number. The caller ends it.
func (o *origin) begin() (counter uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, true)
	return o.low + uint64(len(o.waiting)) - 1
}

// identity is what a request with that number says of itself now.
func (o *origin) identity(counter uint64) entry.Identity {
	o.mu.Lock()
	defer o.mu.Unlock()
	return entry.Identity{Origin: o.id, Counter: counter, Low: o.low}
}

// end says that nobody waits for the request's result any more.
func (o *origin) end(counter uint64) {
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

// An opener has the origin that is in use, once the log has it. The state machine forgets the results of an origin that it
// has not heard of for long, and refuses its requests from then on: the process opens another one.
type opener struct {
	open atomic.Pointer[origin] // nil: none is known to be open

	mu      sync.Mutex
	attempt chan struct{} // closed when the attempt to open one has ended; nil: none is under way
}

// get gives the open origin, or has one opened: those who ask meanwhile wait for that. Each attempt is for a new origin,
// which is in the log once at most: one that was forgotten can't be opened again, late, with all that it had asked before.
func (p *opener) get(ctx context.Context, open func(*origin) error) (*origin, error) {
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

	o := newOrigin()
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

// expired notes that an origin is not known any more.
func (p *opener) expired(o *origin) { p.open.CompareAndSwap(o, nil) }
