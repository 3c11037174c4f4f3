package server

import (
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/wire"
)

// statuses are the answers that are counted each for itself; others that a store makes up are counted together.
var statuses = [...]wire.Status{
	wire.OK, wire.NotOK, wire.Disconnected, wire.Corrupt, wire.MatchingSession, wire.TimeoutRange, wire.IDRange, wire.DataRange,
}

// Stats are a server's figures since it was made. They are read one by one: a request that is being counted may be in
// some and not yet in others.
type Stats struct {
	Connections int64  // open now
	MaxConns    int    // the most that may be
	Accepted    uint64 // connections taken, in all
	Refused     uint64 // connections closed at once because MaxConns were open
	Broken      uint64 // connections closed because the peer broke the protocol
	Stalled     uint64 // connections closed because the peer took too long to finish a message or to take an answer
	Idled       uint64 // connections closed after IdleTimeout
	InFlight    int64  // requests that a store is busy with now, those answered from memory not counted
	Overloaded  uint64 // requests answered Disconnected at once because MaxRequests were in flight
	BytesIn     uint64
	BytesOut    uint64
	Untaken     int64 // bytes of answers that wait for their clients to take them
	Held        int64 // bytes of requests that a store is busy with

	// Answers counts by operation, then in the order of Statuses; the last is for any other status.
	Answers [wire.UserOps][len(statuses) + 1]uint64
}

// Statuses is the order of the second index of Stats.Answers.
func Statuses() []wire.Status { return statuses[:] }

// Requests is the number of all requests answered.
func (s *Stats) Requests() uint64 {
	var sum uint64
	for _, op := range s.Answers {
		for _, n := range op {
			sum += n
		}
	}
	return sum
}

// Answered is how often op was answered with status.
func (s *Stats) Answered(op wire.Op, status wire.Status) uint64 {
	if int(op) >= len(s.Answers) {
		return 0
	}
	return s.Answers[op][statusIndex(status)]
}

func statusIndex(s wire.Status) int {
	switch {
	case s <= wire.Disconnected:
		return int(s)
	case s >= wire.Corrupt && s <= wire.DataRange:
		return int(s-wire.Corrupt) + 3
	}
	return len(statuses)
}

// counters are what Stats is read from.
type counters struct {
	accepted, refused, broken, stalled, idled, overloaded, bytesIn, bytesOut atomic.Uint64

	connections, inFlight, untaken, held atomic.Int64
	answers                              [wire.UserOps][len(statuses) + 1]atomic.Uint64
}

// Stats reads the server's figures; any goroutine may.
func (s *Server) Stats() Stats {
	c := &s.counters
	stats := Stats{
		Connections: c.connections.Load(),
		MaxConns:    s.cfg.MaxConns,
		Accepted:    c.accepted.Load(),
		Refused:     c.refused.Load(),
		Broken:      c.broken.Load(),
		Stalled:     c.stalled.Load(),
		Idled:       c.idled.Load(),
		InFlight:    c.inFlight.Load(),
		Overloaded:  c.overloaded.Load(),
		BytesIn:     c.bytesIn.Load(),
		BytesOut:    c.bytesOut.Load(),
		Untaken:     c.untaken.Load(),
		Held:        c.held.Load(),
	}
	for op := range c.answers {
		for i := range c.answers[op] {
			stats.Answers[op][i] = c.answers[op][i].Load()
		}
	}
	return stats
}

// count takes note of an answer.
func (s *Server) count(op wire.Op, status wire.Status, arrival time.Time) {
	s.counters.answers[op][statusIndex(status)].Add(1)
	if s.cfg.Observe != nil {
		s.cfg.Observe(op, status, time.Since(arrival))
	}
	if p := s.progress.Load(); p != nil {
		p.step()
	}
}
