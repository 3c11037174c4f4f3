package proxy

import (
	"time"
)

// A State is what is known of a server.
type State int

// The states of a server.
const (
	Down    State = iota // no connection on which it answers
	Waiting              // it answers pings, but not requests that need its sessions
	Ready                // it answers
)

func (s State) String() string {
	return [...]string{"down", "waiting", "ready"}[s]
}

// MarshalText makes the state a word in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Bounds of upstream.hold, in probe intervals.
const (
	maxHold    = 32
	forgetHold = 64 // a server that was in use for so long before trouble came starts again without a hold
)

// failed records a failed attempt to connect.
func (p *Proxy) failed(u *upstream, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !u.tried || u.err == nil || u.err.Error() != err.Error() {
		u.log.Warn("server is down", "error", err)
	} else {
		u.log.Debug("server is still down", "error", err)
	}
	u.err = err
	p.markTried(u)
}

// connected puts a new link to a server into use.
func (p *Proxy) connected(u *upstream, l *link) {
	p.mu.Lock()
	u.link, u.state, u.since, u.doubtedAt = l, Waiting, time.Now(), time.Now()
	u.log.Info("server is there")
	moved := p.choose()
	p.markTried(u)
	p.mu.Unlock()
	p.resend(moved)
}

// markTried records that a server has been tried once, and ends Settle when that decides it. The caller holds mu.
func (p *Proxy) markTried(u *upstream) {
	if !u.tried {
		u.tried = true
		p.untried--
	}
	if p.untried == 0 || p.current.Load() != nil {
		select {
		case <-p.settled:
		default:
			close(p.settled)
		}
	}
}

// lost marks a link's server as down because the connection is lost. Each of the link's calls does so before it is sent
// elsewhere, so that no call waits for the goroutine that watches the link.
func (p *Proxy) lost(l *link) {
	p.mu.Lock()
	u := l.u
	if u.link != l {
		p.mu.Unlock()
		return
	}
	u.link, u.state, u.since, u.err = nil, Down, time.Now(), l.conn.Err()
	if !p.closed {
		u.log.Warn("server is lost", "error", u.err)
	}
	if p.current.Load() == l {
		p.demote(u)
		for _, other := range p.upstreams {
			if other != u {
				other.nudge()
			}
		}
	}
	moved := p.choose()
	p.mu.Unlock()
	p.resend(moved)
}

// replace puts link l in the place of old, a link to the same server that is given up.
func (p *Proxy) replace(old, l *link) {
	u := old.u
	p.wg.Go(func() { u.retire(old) })
	p.mu.Lock()
	switch {
	case u.link == nil: // lost a moment ago
		u.state, u.since, u.doubtedAt = Waiting, time.Now(), time.Now()
	case p.current.Load() == old:
		p.current.Store(l)
	}
	u.link = l
	moved := append(old.takeReads(), p.choose()...)
	p.mu.Unlock()
	p.resend(moved)
}

// doubt notes that a server may not be able to answer. If the server is in use, the others are asked whether they can.
func (p *Proxy) doubt(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.u.link != l || !l.u.doubtedAt.IsZero() {
		return
	}
	l.u.doubtedAt = time.Now()
	if p.current.Load() != l {
		return
	}
	for _, u := range p.upstreams {
		if u != l.u {
			u.nudge()
		}
	}
}

// nudge has the upstream's goroutine connect, or ask a question, now.
func (u *upstream) nudge() {
	select {
	case u.nudged <- struct{}{}:
	default:
	}
}

// setState sets the state of a server that answers pings.
func (p *Proxy) setState(l *link, s State) {
	p.mu.Lock()
	u, now := l.u, time.Now()
	if u.link != l {
		p.mu.Unlock()
		return
	}
	if s == Ready {
		u.provenAt, u.doubtedAt = now, time.Time{}
	}
	if u.state == s {
		p.mu.Unlock()
		return
	}
	u.state, u.since = s, now
	if s == Waiting {
		if u.doubtedAt.IsZero() {
			u.doubtedAt = now
		}
		u.log.Warn("server is there but does not answer requests")
	} else {
		u.log.Info("server is ready")
	}
	moved := p.choose()
	p.mu.Unlock()
	p.resend(moved)
}

// rechoose chooses again, since time has gone by: a server may have been ready for long enough now.
func (p *Proxy) rechoose() {
	p.mu.Lock()
	moved := p.choose()
	p.mu.Unlock()
	p.resend(moved)
}

// resend sends calls to the server that is now in use.
func (p *Proxy) resend(calls []*call) {
	p.retried.Add(uint64(len(calls)))
	for _, c := range calls {
		c.tries++
		p.send(c)
	}
}

// choose decides which server is used. It returns the calls that it took from a server that can't answer, and that are
// to be sent again. The caller holds mu.
//
// A server that has only just become ready is not preferred to the server in use, which is waiting: when an election
// ends, all servers become ready, and some a little sooner.
func (p *Proxy) choose() (moved []*call) {
	if p.closed {
		return nil
	}
	cur, best := p.current.Load(), (*upstream)(nil)
	if cur != nil && cur.u.link != cur {
		cur = nil
	}
	now := time.Now()
	for _, u := range p.upstreams {
		switch {
		case cur != nil && u == cur.u:
			if best == nil && u.state == Ready {
				best = u
			}
		case u.state != Ready || best != nil:
		case cur == nil:
			best = u
		case cur.u.state == Ready && u.index < cur.u.index && now.Sub(u.since) >= u.hold,
			cur.u.state == Waiting && !u.provenAt.Before(cur.u.doubtedAt) && now.Sub(u.since) >= p.bounds.tick:
			best = u
		}
	}
	if best == nil && cur != nil {
		best = cur.u
	}
	for _, u := range p.upstreams {
		if best == nil && u.state == Waiting {
			best = u
		}
	}
	switch {
	case best == nil:
		if p.current.Swap(nil) != nil {
			p.cfg.Logger.Error("no server is left: requests are answered DISCONNECTED until one is")
		}
	case cur == nil || best != cur.u:
		best.chosenAt = now
		best.log.Info("server is used", "state", best.state)
		p.current.Store(best.link)
		if cur != nil && cur.u.state == Waiting {
			p.demote(cur.u)
			moved = cur.takeReads()
		}
	}
	return moved
}

// demote sets how long a server that was left because of trouble must be ready before it is preferred again: longer
// each time, unless the server was in use for long. The caller holds mu.
func (p *Proxy) demote(u *upstream) {
	i := p.bounds.interval
	if time.Since(u.chosenAt) > forgetHold*i {
		u.hold = 0
	} else {
		u.hold = min(max(2*u.hold, i), maxHold*i)
	}
}

// readyExcept returns the link to the first server other than u that is ready; nil if there is none.
func (p *Proxy) readyExcept(u *upstream) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.upstreams {
		if other != u && other.state == Ready {
			return other.link
		}
	}
	return nil
}
