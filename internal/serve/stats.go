package serve

import "sync/atomic"

// Stats are a server's counts since it was made. They are read one by one: a request that is being counted may be in
// some and not yet in others.
type Stats struct {
	Connections int64  // open now
	MaxConns    int    // the most that may be open
	Accepted    uint64 // connections taken, in all
	Refused     uint64 // connections closed at once because MaxConns were open
	Broken      uint64 // connections closed because the peer broke the protocol
	Stalled     uint64 // connections closed because the peer took too long to finish a message or to take an answer
	Idled       uint64 // connections closed after IdleTimeout
	InFlight    int64  // requests being carried out now, without those answered at once
	Overloaded  uint64 // requests answered as failed at once because MaxRequests were in flight
	BytesIn     uint64
	BytesOut    uint64
	Untaken     int64 // bytes of answers that wait for their clients to take them
	Held        int64 // bytes of requests that are being carried out
}

// counters are the source of Stats.
type counters struct {
	accepted, refused, broken, stalled, idled, overloaded, bytesIn, bytesOut atomic.Uint64

	connections, inFlight, untaken, held atomic.Int64

	unfinished atomic.Int64 // bytes of memory for messages that have not arrived whole, beyond readBuffer for each
}

// Stats returns the server's counts. Any goroutine may call it.
func (s *Server) Stats() Stats {
	c := &s.counters
	return Stats{
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
}
