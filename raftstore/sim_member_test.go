package raftstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
)

// members are the nodes that are expected to answer when nothing is wrong.
func (s *sim) members() []*simNode {
	var list []*simNode
	for _, n := range s.nodes {
		if !n.gone.Load() {
			list = append(list, n)
		}
	}
	return list
}

// fresh is a machine that is not used, nil if there is none.
func (s *sim) fresh() *simNode {
	for _, n := range s.nodes {
		if n.gone.Load() && n.unused {
			return n
		}
	}
	return nil
}

// isMe tells whether a server of the configuration is this node, as it is now.
func (p *process) isMe(m raftnode.Member) bool { return m.ID == p.identity().ID() }

// whole tells whether all members are up and vote, by the leader's and by their own word, so that one of them may lose
// what it has: the others have promised nothing that they do not know.
func (s *sim) whole() bool {
	l := s.leader()
	if l == nil {
		return false
	}
	leader := l.running()
	if leader == nil {
		return false
	}
	ms, servers := s.members(), leader.node.Load().raft.Members()
	if len(ms) < 3 || len(servers) != len(ms) {
		return false
	}
	for _, n := range ms {
		p := n.running()
		if p == nil || n.risky {
			return false
		}
		self := false
		for _, m := range servers {
			self = self || p.isMe(m) && m.Voter
		}
		if !self || p.identity().Phase != phaseMember || !p.Status().Voter {
			return false
		}
	}
	return true
}

// enter has a node with an empty directory join. Those that founded the cluster may all be gone: it is told who is
// there.
func (n *simNode) enter() {
	n.unused, n.moved = false, true
	n.gone.Store(false)
	n.restart()
}

// old starts a node that was removed with the files that it had then. It may find that out, and end.
func (n *simNode) old() {
	if n.disk.isHung() { // it would wait for that, and hold up the schedule
		n.s.later(20*time.Millisecond, n.old)
		return
	}
	if n.running() == nil {
		if err := n.start(); err != nil && !errors.Is(err, ErrRemoved) && !errors.Is(err, ErrLeft) {
			n.s.fail("start", "%v", err)
		}
	}
}

func (s *sim) wipeOne() {
	n := s.pick()
	if n == nil || n.gone.Load() || !s.whole() {
		return
	}
	s.say("wipe %s", n.name)
	n.kill(s.rng.IntN(2) == 0)
	n.wipe()
	s.forgot++
	s.later(s.some()/4, func() { s.say("start %s", n.name); n.restart() })
}

// restoreOne puts back an older copy of a follower's files.
func (s *sim) restoreOne() {
	n := s.pick()
	if n == nil || n.gone.Load() || n == s.leader() {
		return
	}
	s.say("copy the files of %s", n.name)
	n.kill(false)
	n.backUp()
	n.restart()
	s.later(s.some(), func() {
		if n.running() == nil || n.gone.Load() || !s.whole() || n == s.leader() {
			return
		}
		l := s.leader()
		if l == nil || l == n {
			return
		}
		term := l.term()
		s.say("restore %s from its copy", n.name)
		n.kill(false)
		n.restore()
		s.forgot++
		n.restart()
		s.until(time.Second, "it is removed", func() bool { n.mind(); return n.gone.Load() || !n.risky || l.term() != term })
		// Who has been elected meanwhile, as on a busy machine, does not know how far the log of the node reached.
		s.void = s.void || l.term() != term
	})
}

// term is the one in which a node leads, 0 when it does not.
func (n *simNode) term() uint64 {
	p := n.running()
	if p == nil {
		return 0
	}
	return p.node.Load().serving.Load()
}

// removeOne takes a node out, up or down. Later it is started with its old files, or taken in again with none.
func (s *sim) removeOne() {
	n := s.pick()
	if n == nil || n.gone.Load() || len(s.members()) < 3 {
		return
	}
	by := s.pick()
	if by == nil || by == n || by.gone.Load() {
		return
	}
	s.say("remove %s, asked of %s", n.name, by.name)
	if s.rng.IntN(2) == 0 {
		n.kill(false)
	}
	if err := s.do(by, func(ctx context.Context, p *process) error { return p.RemoveNode(ctx, n.name) }); err != nil {
		s.later(s.some(), n.restart)
		return
	}
	n.gone.Store(true)
	if s.rng.IntN(2) == 0 {
		s.later(s.some(), func() { s.say("start %s, which was removed", n.name); n.old() })
	}
	if s.rng.IntN(3) > 0 {
		s.later(100*time.Millisecond+s.some(), func() {
			s.say("%s is to join again", n.name)
			n.kill(false)
			n.wipe()
			n.enter()
		})
	}
}

// joinOne has a new node join.
func (s *sim) joinOne() {
	if n := s.fresh(); n != nil {
		s.say("%s joins", n.name)
		n.enter()
	}
}

// located tells whether the leader knows where each member is. Then one of them may be where nobody looks for it: it
// can tell the others.
func (s *sim) located() bool {
	l := s.leader()
	if l == nil {
		return false
	}
	p := l.running()
	if p == nil {
		return false
	}
	known := map[string]bool{}
	for _, m := range p.node.Load().raft.Members() {
		known[string(m.Address)] = true
	}
	for _, n := range s.members() {
		if !known[n.address] {
			return false
		}
	}
	return true
}

// moveOne starts nodes at other addresses: one at a new one, or two at each other's.
func (s *sim) moveOne() {
	a, b := s.pick(), s.pick()
	if a == nil || b == nil || a.gone.Load() || b.gone.Load() {
		return
	}
	if a == b && !s.located() {
		return
	}
	a.kill(false)
	a.moved = true
	if a == b {
		s.moves++
		a.address = fmt.Sprintf("10.0.1.%d:7000", s.moves)
		s.say("%s moves to %s", a.name, a.address)
	} else {
		s.say("%s and %s take each other's addresses", a.name, b.name)
		b.kill(false)
		b.moved = true
		a.address, b.address = b.address, a.address
		s.later(s.some(), func() { s.say("start %s", b.name); b.restart() })
	}
	s.later(s.some()/2, func() { s.say("start %s", a.name); a.restart() })
}

func (s *sim) hangOne(suspend bool) {
	n := s.pick()
	if l := s.leader(); l != nil && s.rng.IntN(2) == 0 {
		n = l // the others' disks are missed less
	}
	if n == nil {
		return
	}
	s.say("the disk of %s hangs, suspended: %v", n.name, suspend)
	n.disk.hang(true)
	if suspend {
		s.fabric.pause(n.name, true)
	}
	s.later(s.some()+time.Duration(s.rng.IntN(250))*time.Millisecond, func() {
		s.say("the disk of %s goes on", n.name)
		n.disk.hang(false)
		if suspend {
			s.fabric.pause(n.name, false)
		}
	})
}
