package server

import (
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/internal/serve"
	"github.com/distcache/distcache/wire"
)

// statuses are the answers that are counted each for itself; others that a store makes up are counted together.
var statuses = [...]wire.Status{
	wire.OK, wire.NotOK, wire.Disconnected, wire.Corrupt, wire.MatchingSession, wire.TimeoutRange, wire.IDRange, wire.DataRange,
}

// Stats are a server's figures since it was made. They are read one by one: a request that is being counted may be in
// some and not yet in others.
type Stats struct {
	serve.Stats // of connections and bytes

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

// answers are what Stats.Answers is read from.
type answers [wire.UserOps][len(statuses) + 1]atomic.Uint64

// Stats reads the server's figures; any goroutine may.
func (s *Server) Stats() Stats {
	stats := Stats{Stats: s.Server.Stats()}
	for op := range s.answers {
		for i := range s.answers[op] {
			stats.Answers[op][i] = s.answers[op][i].Load()
		}
	}
	return stats
}

// count takes note of an answer.
func (s *Server) count(op wire.Op, status wire.Status, arrival time.Time) {
	s.answers[op][statusIndex(status)].Add(1)
	if s.cfg.Observe != nil {
		s.cfg.Observe(op, status, time.Since(arrival))
	}
	if p := s.progress.Load(); p != nil {
		p.step()
	}
}
