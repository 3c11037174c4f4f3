package proxy

import (
	"time"
)

// A State is what is known of a server.
type State int

// The states of a server.
const (
	Down    State = iota // no connection on which it answers
	Waiting              // it is there, but can't answer for its sessions
	Ready                // it answers
)

func (s State) String() string {
	return [...]string{"down", "waiting", "ready"}[s]
}

// MarshalText makes the state a word in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A server that was left is taken up again so late at the most, counted in probe intervals; and has to serve so long
// for that to be forgotten.
const (
	mostHold = 32
	steady   = 64
)

// failed notes an attempt to connect that came to nothing.
func (p *Proxy) failed(u *upstream, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !u.tried || u.err == nil || u.err.Error() != err.Error() {
		u.log.Warn("server is down", "error", err)
	} else {
		u.log.Debug("server is still down", "error", err)
	}
	u.err = err
	p.note(u)
}

// connected takes a new link to a server.
func (p *Proxy) connected(u *upstream, l *link) {
	p.mu.Lock()
	u.link, u.state, u.since, u.doubt = l, Waiting, time.Now(), time.Now()
	u.log.Info("server is there")
	moved := p.choose()
	p.note(u)
	p.mu.Unlock()
	p.sendAll(moved)
}

// note takes down that a server has been tried.
func (p *Proxy) note(u *upstream) {
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

// lost takes a link off whose connection is lost. Each of its requests calls it before being sent elsewhere, so that
// none waits for the goroutine that watches.
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
		p.left(u)
		for _, other := range p.upstreams {
			if other != u {
				other.look()
			}
		}
	}
	moved := p.choose()
	p.mu.Unlock()
	p.sendAll(moved)
}

// replace puts another link to the same server in the place of one that is done with.
func (p *Proxy) replace(old, l *link) {
	u := old.u
	p.wg.Go(func() { u.retire(old) })
	p.mu.Lock()
	switch {
	case u.link == nil: // lost a moment ago
		u.state, u.since, u.doubt = Waiting, time.Now(), time.Now()
	case p.current.Load() == old:
		p.current.Store(l)
	}
	u.link = l
	moved := append(old.takeReads(), p.choose()...)
	p.mu.Unlock()
	p.sendAll(moved)
}

// doubted notes that the server may not be able to answer, and has the others asked whether they are.
func (p *Proxy) doubted(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.u.link != l || !l.u.doubt.IsZero() {
		return
	}
	l.u.doubt = time.Now()
	if p.current.Load() != l {
		return
	}
	for _, u := range p.upstreams {
		if u != l.u {
			u.look()
		}
	}
}

// look has the upstream's goroutine do something now.
func (u *upstream) look() {
	select {
	case u.nudge <- struct{}{}:
	default:
	}
}

// judge sets the state of a server that is there.
func (p *Proxy) judge(l *link, s State) {
	p.mu.Lock()
	u, now := l.u, time.Now()
	if u.link != l {
		p.mu.Unlock()
		return
	}
	if s == Ready {
		u.proven, u.doubt = now, time.Time{}
	}
	if u.state == s {
		p.mu.Unlock()
		return
	}
	u.state, u.since = s, now
	if s == Waiting {
		if u.doubt.IsZero() {
			u.doubt = now
		}
		u.log.Warn("server is there but does not answer requests")
	} else {
		u.log.Info("server is ready")
	}
	moved := p.choose()
	p.mu.Unlock()
	p.sendAll(moved)
}

// review chooses again, since what is to be waited for may be over.
func (p *Proxy) review() {
	p.mu.Lock()
	moved := p.choose()
	p.mu.Unlock()
	p.sendAll(moved)
}

// sendAll asks again, of the server now in use.
func (p *Proxy) sendAll(flights []*flight) {
	p.again.Add(uint64(len(flights)))
	for _, f := range flights {
		f.tries++
		p.send(f)
	}
}

// choose settles which server is used, and returns the requests that are to be sent to it, having been taken from one
// that can't answer. The caller holds mu.
//
// One that has only just become able to answer is not preferred to the one in use, which is waiting: the end of an
// election shows on all of them, and on some a little sooner.
func (p *Proxy) choose() (moved []*flight) {
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
			cur.u.state == Waiting && !u.proven.Before(cur.u.doubt) && now.Sub(u.since) >= p.bounds.tick:
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
		best.taken = now
		best.log.Info("server is used", "state", best.state)
		p.current.Store(best.link)
		if cur != nil && cur.u.state == Waiting {
			p.left(cur.u)
			moved = cur.takeReads()
		}
	}
	return moved
}

// left makes a server that was left because of trouble wait before it is taken up again, the longer the sooner this
// comes after the last time. The caller holds mu.
func (p *Proxy) left(u *upstream) {
	i := p.bounds.interval
	if time.Since(u.taken) > steady*i {
		u.hold = 0
	} else {
		u.hold = min(max(2*u.hold, i), mostHold*i)
	}
}

// readyBut returns the link to the first server that is ready, other than u; nil if there is none.
func (p *Proxy) readyBut(u *upstream) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.upstreams {
		if other != u && other.state == Ready {
			return other.link
		}
	}
	return nil
}
