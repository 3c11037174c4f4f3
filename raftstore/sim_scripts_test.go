package raftstore

import (
	"context"
	"fmt"
	"time"
)

// until waits for something, and holds up all that is planned meanwhile.
func (s *sim) until(d time.Duration, what string, f func() bool) bool {
	for end := s.now() + d; ; time.Sleep(2 * time.Millisecond) {
		if f() {
			return true
		}
		if s.now() > end {
			s.say("given up: %s", what)
			return false
		}
	}
}

// do is ask, but waits.
func (s *sim) do(n *simNode, f func(context.Context, *process) error) error {
	p := n.running()
	if p == nil {
		return errPower
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	err := f(ctx, p)
	s.say("%s was asked: %v", p.who, err)
	return err
}

// hasten has a node ask for votes at once, as the leader does that hands over to it.
func (n *simNode) hasten() {
	p := n.running()
	if p == nil {
		return
	}
	r := p.node.Load()
	if r.raft.Voter(r.id) {
		_ = r.raft.TakeOver()
	}
}

// hastenOne is a transfer of leadership that the leader has begun, whatever has become of it.
func (s *sim) hastenOne() {
	if n := s.pick(); n != nil {
		s.say("%s is to ask for votes", n.name)
		n.hasten()
	}
}

// lease has answers come late to the leader, then nothing of the leader's arrive: its lease ends late.
func (s *sim) lease() {
	l := s.leader()
	if l == nil {
		return
	}
	s.say("answers come late to %s, whom soon nobody hears", l.name)
	r := &rule{kinds: msgAll, delay: simHeartbeat/2 + time.Duration(s.rng.IntN(15))*time.Millisecond}
	s.each(s.nodes, []*simNode{l}, false, func(k *link) { k.rule.Store(r) })
	s.later(simHeartbeat+s.some()/4, func() {
		s.each([]*simNode{l}, s.nodes, false, func(k *link) { k.cut.Store(true) })
	})
	s.later(4*simHeartbeat+s.some()/2, func() {
		s.each([]*simNode{l}, s.nodes, false, func(k *link) { k.cut.Store(false) })
		s.each(s.nodes, []*simNode{l}, false, func(k *link) { k.rule.CompareAndSwap(r, nil) })
	})
}

// ghost has a node that was removed, and knows nothing of it, meet one that was wiped and taken in again and has
// nothing yet: together they were a majority.
func (s *sim) ghost() {
	l, y := s.leader(), s.fresh()
	if l == nil || y == nil || !s.whole() {
		return
	}
	var others []*simNode
	for _, n := range s.members() {
		if n != l {
			others = append(others, n)
		}
	}
	s.rng.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	x, z := others[0], others[1]
	s.say("%s is removed while it is down, %s joins, %s is wiped", x.name, y.name, z.name)
	x.kill(false)
	if s.do(l, func(ctx context.Context, p *process) error { return p.RemoveNode(ctx, x.name) }) != nil {
		x.restart()
		return
	}
	x.gone.Store(true)
	y.enter()
	if !s.until(600*time.Millisecond, "the new one votes", func() bool { return s.whole() }) {
		return
	}
	hold := &rule{kinds: msgEntries | msgSnapshot, retains: true}
	z.kill(false)
	z.wipe()
	s.forgot++
	if s.rng.IntN(4) > 0 {
		s.each(s.nodes, []*simNode{z}, false, func(k *link) { k.rule.Store(hold) })
	}
	z.restart()
	s.until(400*time.Millisecond, "the wiped one is taken in", func() bool {
		p := z.running()
		return p == nil || p.identity().Phase != phaseNew
	})
	time.Sleep(time.Duration(s.rng.IntN(30)) * time.Millisecond)
	if l = s.leader(); l == nil || l == z {
		return
	}
	s.say("%s, which leads, is killed, and %s starts with its old files", l.name, x.name)
	l.kill(false)
	x.old()
	time.Sleep(time.Duration(100+s.rng.IntN(200)) * time.Millisecond)
	l.restart()
	s.later(s.some(), func() {
		s.each(s.nodes, []*simNode{z}, false, func(k *link) { k.rule.CompareAndSwap(hold, nil) })
	})
}

// swap has a node that was cut off take the address of a leader that others have elected meanwhile and that is gone,
// and ask for votes in that leader's term.
func (s *sim) swap() {
	old := s.leader()
	ms := s.members()
	if old == nil || len(ms) < 3 {
		return
	}
	var b, a *simNode
	for _, n := range ms {
		if n != old && n.running() != nil {
			a, b = b, n
		}
	}
	if a == nil || b == nil {
		return
	}
	s.say("%s is cut off, %s elected; %s takes its address", b.name, a.name, b.name)
	s.each([]*simNode{b}, s.nodes, true, func(k *link) { k.cut.Store(true) })
	a.hasten()
	s.until(100*time.Millisecond, "it is elected", func() bool { return s.leader() == a })
	time.Sleep(time.Duration(10+s.rng.IntN(30)) * time.Millisecond)
	a.kill(false)
	b.kill(false)
	a.address, b.address = b.address, a.address
	a.moved, b.moved = true, true
	b.restart()
	s.each([]*simNode{b}, s.nodes, true, func(k *link) { k.cut.Store(false) })
	b.hasten()
	s.later(s.some(), func() { s.say("start %s", a.name); a.restart() })
}

// mutual has nodes that stand alone join each other at once. No clients are at work then.
func (s *sim) mutual() {
	for i, pair := range [][2]int{{0, 1}, {1, 0}, {2, s.rng.IntN(2)}} {
		n, to := s.nodes[pair[0]], s.nodes[pair[1]]
		if i == 2 && s.rng.IntN(2) == 0 {
			break
		}
		s.later(time.Duration(s.rng.IntN(30))*time.Millisecond, func() {
			s.say("%s is told to join %s", n.name, to.name)
			s.ask(n, func(ctx context.Context, p *process) error { return p.Join(ctx, []string{to.address}, true) }, nil)
		})
	}
}

// planLone makes three nodes that stand alone, for joins of all kinds.
func (s *sim) planLone() {
	for i := range 3 {
		s.nodes = append(s.nodes, &simNode{s: s, name: fmt.Sprintf("n%d", i+1), address: fmt.Sprintf("10.0.0.%d:7000", i+1),
			disk: newSimDisk(s.seed + uint64(i))})
	}
	s.quiet, s.watch.apart = true, true
}
