package raftstore

import (
	"crypto/rand"
	"encoding/binary"
	"sync"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// An origin gives the requests that this process takes from clients their identities, and keeps count of those that
// still wait for a result.
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
