package loadtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// A LedgerConfig says how a Ledger writes. Only Addresses are required; elsewhere the zero value means the default.
type LedgerConfig struct {
	// Addresses of the servers, which answer as one: what one has acknowledged, the others know. Writers are spread
	// over them, and go from one that does not answer to the next.
	Addresses []wire.Address
	// Writers is how many write at the same time, each on sessions of its own: 4 for each address by default.
	Writers int
	// DataMin and DataMax are the least and the most bytes of a session's data: 100 and 1000 by default.
	DataMin, DataMax int
	// Timeout of the sessions: an hour by default. Sessions near their expiry are not insisted on.
	Timeout time.Duration
	// RequestTimeout is the longest wait for one answer: DefaultRequestTimeout by default.
	RequestTimeout time.Duration
	// StaleReads says that servers may answer reads from an older state: then Run does not check any.
	StaleReads bool
	// Seed makes writers choose the same operations again; 0 is one that nobody has had. Ids and data always differ.
	Seed uint64
}

// The share of operations, out of 100, that are not an ADD of a new session but about an earlier one.
const (
	shareRemove = 15
	shareAgain  = 5 // an ADD of one that is there
	shareGet    = 10
)

// What a Ledger knows of a session.
type state uint8

const (
	unsent     state = iota // no ADD of it was sent, or it was refused
	maybeAdded              // its ADD was sent and not answered
	added                   // its ADD was acknowledged
	maybeGone               // and then its REMOVE was sent and not answered
	removed                 // its REMOVE was acknowledged
)

// An entry is a session's page in the ledger. Its id and data follow from its number.
type entry struct {
	state state
	added int64 // when its ADD was sent, unix ms
}

// A Ledger writes to servers and keeps account of every answer, so that it can tell whether servers that were killed,
// cut off or restarted have kept what they acknowledged:
//
//	l, err := loadtest.NewLedger(loadtest.LedgerConfig{Addresses: nodes})
//	...
//	go func() { done <- l.Run(ctx) }()
//	// kill and restart nodes; then end ctx
//	if err := <-done; err != nil { ... }             // a wrong answer on the way
//	for _, node := range nodes {
//		if err := l.Verify(ctx, node); err != nil { ... } // something lost, changed or come back
//	}
//
// What counts is this. An acknowledged ADD is there with its data until it expires or is removed. An acknowledged
// REMOVE stays so. An ADD of a session that is there says MATCHING_SESSION, always; the first ADD of a new one never
// does, and the first REMOVE of one that is there never says that it is not, whatever servers do among themselves to
// carry a request over a failure. A request that was answered DISCONNECTED or not at all may have been carried out or
// not, or may still be; but data that is there is right. Servers at their limit of sessions drop some, so they need one
// above what the ledger adds.
//
// All methods may be called at once, except that there can be one Run at a time.
type Ledger struct {
	cfg    LedgerConfig
	corpus *corpus
	gap    gap

	mu      sync.Mutex
	entries []entry
	counts  Counts
	wrong   []string
}

// Counts are how a Ledger's writes have gone so far.
type Counts struct {
	Added        uint64 // ADDs acknowledged
	Removed      uint64 // REMOVEs acknowledged
	Unknown      uint64 // requests sent whose fate is unknown
	NotSent      uint64 // requests that found no server
	Disconnected uint64 // of the unknown ones, those answered DISCONNECTED
	Checked      uint64 // answers to ADDs of what is there, and to GETs, that were right
}

// NewLedger makes a Ledger without connecting to anything.
func NewLedger(cfg LedgerConfig) (*Ledger, error) {
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("a ledger needs the address of a server")
	}
	setDefault(&cfg.Writers, 4*len(cfg.Addresses))
	setDefault(&cfg.DataMin, 100)
	setDefault(&cfg.DataMax, max(1000, cfg.DataMin))
	setDefault(&cfg.Timeout, time.Hour)
	setDefault(&cfg.RequestTimeout, DefaultRequestTimeout)
	setDefault(&cfg.Seed, rand.Uint64())
	if cfg.Timeout < time.Millisecond || cfg.Timeout > wire.MaxTimeout || cfg.Writers < 1 {
		return nil, fmt.Errorf("a ledger of %d writers with sessions of %v", cfg.Writers, cfg.Timeout)
	}
	c, err := newCorpus(cfg.DataMin, cfg.DataMax)
	if err != nil {
		return nil, err
	}
	l := &Ledger{cfg: cfg, corpus: c}
	l.gap.start()
	return l, nil
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Counts tells how it has gone so far.
func (l *Ledger) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// LongestGap is the longest time, while Run was running, in which no request of any writer was answered well; since
// the last ResetGap, if there was one. One that has not ended does not count until Run returns.
func (l *Ledger) LongestGap() time.Duration { return time.Duration(l.gap.longest.Load()) }

// ResetGap forgets the longest gap so far, to measure that of the next failure by itself.
func (l *Ledger) ResetGap() { l.gap.longest.Store(0) }

// newEntry opens a page for a new session.
func (l *Ledger) newEntry() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, entry{})
	return len(l.entries) - 1
}

func (l *Ledger) entry(n int) entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries[n]
}

func (l *Ledger) set(n int, e entry, count func(*Counts)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[n] = e
	count(&l.counts)
}

// certain tells whether an added session must still be there at a time.
func (l *Ledger) certain(e entry, at time.Time) bool {
	return at.Before(time.UnixMilli(e.added).Add(l.cfg.Timeout - DefaultMargin))
}

// expired tells whether an added session must be gone at a time.
func (l *Ledger) expired(e entry, at time.Time) bool {
	return at.After(time.UnixMilli(e.added).Add(l.cfg.RequestTimeout + l.cfg.Timeout + DefaultMargin))
}

// fate is what is known of a request that was not answered as it should be.
type fate int

const (
	answered fate = iota
	neverSent
	unknown
)

// fateOf sorts errors. Statuses other than Disconnected are answers.
func fateOf(err error) fate {
	var status wire.Status
	switch {
	case err == nil, errors.As(err, &status) && status != wire.Disconnected:
		return answered
	case errors.Is(err, client.ErrNotSent):
		return neverSent
	}
	return unknown
}
