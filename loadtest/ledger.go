package loadtest

import (
	"cmp"
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
	// Addresses are those of the servers, which answer as one: what one has acknowledged, the others know. Writers are
	// spread over them. A writer whose server does not answer goes on to the next.
	Addresses []wire.Address
	// Writers is how many writers there are, each with sessions of its own. Default: 4 for each address.
	Writers int
	// DataMin and DataMax are the least and the greatest size of a session's data, in bytes. Default: 100 and 1000.
	DataMin, DataMax int
	// Timeout is the timeout of sessions. Near its expiry a session may be there or not. Default: an hour.
	Timeout time.Duration
	// RequestTimeout is the longest wait for one answer. Default: DefaultRequestTimeout.
	RequestTimeout time.Duration
	// StaleReads says that servers may answer reads from an older state. Run then checks no reads.
	StaleReads bool
	// Seed makes writers choose the same operations again. Ids and data always differ. Default: a random seed.
	Seed uint64
}

// The percentages of operations that are about an earlier session. All others are an ADD of a new session.
const (
	shareRemove = 15
	shareAgain  = 5 // an ADD of a session that is there
	shareGet    = 10
)

// The states of a session, as far as a Ledger knows.
type state uint8

const (
	unsent     state = iota // no ADD of it was sent, or it was refused
	maybeAdded              // its ADD was sent and not answered
	added                   // its ADD was acknowledged
	maybeGone               // it was added, and its REMOVE was sent and not answered
	removed                 // its REMOVE was acknowledged
)

// An entry is what a ledger knows of a session. The session's id and data follow from the entry's number.
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
// An acknowledged ADD must be there, with its data, until it expires or is removed. What an acknowledged REMOVE removed
// must stay away. An ADD of a session that is there must be answered MATCHING_SESSION. The first ADD of a new session
// must not be answered so, and the first REMOVE of a session that is there must not be answered NOTOK, however servers
// carry requests over a failure. A request that was answered DISCONNECTED, or not at all, may have been carried out, or
// may still be. In any case, data that is there must be right. Servers at their limit of sessions drop some, so their
// limit must be above what the ledger adds.
//
// All methods may be called at once, but only one Run at a time.
type Ledger struct {
	cfg    LedgerConfig
	corpus *corpus
	gap    gap

	mu      sync.Mutex
	entries []entry
	counts  Counts
	wrong   []string
}

// Counts are the counts of a Ledger's requests so far.
type Counts struct {
	Added        uint64 // ADDs acknowledged
	Removed      uint64 // REMOVEs acknowledged
	Unknown      uint64 // requests sent whose fate is unknown
	NotSent      uint64 // requests that found no server
	Disconnected uint64 // of the unknown ones, requests answered DISCONNECTED
	Checked      uint64 // right answers to GETs, and to ADDs of sessions that are there
}

// NewLedger makes a Ledger. It connects to nothing.
func NewLedger(cfg LedgerConfig) (*Ledger, error) {
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("a ledger needs the address of a server")
	}
	cfg.Writers = cmp.Or(cfg.Writers, 4*len(cfg.Addresses))
	cfg.DataMin = cmp.Or(cfg.DataMin, 100)
	cfg.DataMax = cmp.Or(cfg.DataMax, max(1000, cfg.DataMin))
	cfg.Timeout = cmp.Or(cfg.Timeout, time.Hour)
	cfg.RequestTimeout = cmp.Or(cfg.RequestTimeout, DefaultRequestTimeout)
	cfg.Seed = cmp.Or(cfg.Seed, rand.Uint64())
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

// Counts returns the counts so far.
func (l *Ledger) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// LongestGap is the longest time, while Run was running and since the last ResetGap, in which no request of any writer
// was answered. A gap that has not ended does not count until Run returns.
func (l *Ledger) LongestGap() time.Duration { return time.Duration(l.gap.longest.Load()) }

// ResetGap forgets the longest gap so far, so that the gap of the next failure can be measured.
func (l *Ledger) ResetGap() { l.gap.longest.Store(0) }

// newEntry adds an entry for a new session.
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

// certain tells whether a session in state added must be there at the given time.
func (l *Ledger) certain(e entry, at time.Time) bool {
	return at.Before(time.UnixMilli(e.added).Add(l.cfg.Timeout - DefaultMargin))
}

// expired tells whether a session in state added must be gone at the given time.
func (l *Ledger) expired(e entry, at time.Time) bool {
	return at.After(time.UnixMilli(e.added).Add(l.cfg.RequestTimeout + l.cfg.Timeout + DefaultMargin))
}

// A fate is what became of a request.
type fate int

const (
	answered fate = iota
	neverSent
	unknown
)

// fateOf is the fate of a request with this error. Statuses other than Disconnected are answers.
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
