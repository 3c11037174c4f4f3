package raftstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// How a cluster is founded
//
// Nodes with the same -cluster list found a cluster once. One of them, the founder, writes the first log entry: a
// configuration whose voters are the founder and the nodes that have promised themselves to it. The others get that
// entry as any other.
//
//   - A node promises itself to one founder at a time, and notes that in node.json before it says so. It promises nothing
//     once it is a member of a cluster.
//   - The founder needs the promises of a majority of the list, itself included. Two founders can't both have one.
//   - A node that has not heard of its founder for a while may withdraw: it becomes another server, by a new incarnation,
//     if its log is still empty. The server that had promised never answers again, so that it is as if its disk had been
//     lost before anything was on it.
//   - A founder whose cluster can't begin, since too many of its voters withdrew or lost their disks, does the same. Until a
//     leader has been elected it says that it is new.
//   - All others that are on the list join, as do those that come later, or with an empty directory.

const (
	foundPause = 100 * time.Millisecond
	// foundPatience is how long a new node waits for all the others to be there before a majority will do, and how long
	// the founder that it has promised itself to may be silent.
	foundPatience = 3 * time.Second
)

// founding is how this node founds its cluster with others.
type founding struct{ *membership }

// A listed is what a node of the -cluster list says of itself.
type listed struct {
	Node
	hello
}

// survey is what a node has heard of the others on the list.
type survey struct {
	heard    []listed
	fresh    []listed // of those, the ones that belong to no cluster
	problems []string
	missing  []string // the nodes that do not answer, each with its error
}

// exists tells whether a cluster was founded.
func (v survey) exists() bool { return len(v.heard) > len(v.fresh) }

// survey asks all others on the list who they are.
func (s founding) survey(ctx context.Context) (v survey) {
	for _, c := range s.cfg.Cluster {
		if c.Name == s.cfg.Name {
			continue
		}
		h, err := s.greet(ctx, peernet.Peer{Address: c.Address})
		switch {
		case err != nil:
			v.missing = append(v.missing, fmt.Sprintf("%s (%v)", c.Name, err))
		case h.Phase != phaseNew && s.lists(h.name()): // members may have moved, to each other's addresses too
			v.heard = append(v.heard, listed{Node{h.name(), c.Address}, h})
		case h.name() != c.Name:
			v.problems = append(v.problems, "the node at "+c.Address+" is called "+h.name()+", not "+c.Name+" as in the list of the cluster's nodes")
		case h.Founding != s.cfg.founding():
			v.problems = append(v.problems, "the node "+c.Name+" at "+c.Address+
				" was started with another list of the cluster's nodes, which must be the same on all")
		default:
			v.heard = append(v.heard, listed{c, h})
			v.fresh = append(v.fresh, listed{c, h})
		}
	}
	return v
}

// lists tells whether a node of that name is on the -cluster list.
func (s founding) lists(name string) bool {
	return slices.ContainsFunc(s.cfg.Cluster, func(c Node) bool { return c.Name == name })
}

// found has a new node found its cluster with others, or join it if it was founded before.
func (s founding) found(n *node) {
	began := time.Now()
	heard := began // of the founder that this node has promised itself to
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		if !s.goesOn(n, t.C) {
			return
		}
		if len(n.raft.Members()) > 0 { // the founder's entry has come
			return
		}
		v, id := s.survey(s.ctx), s.identity()
		late := time.Since(began) > s.cfg.timing.foundPatience
		if v.exists() && (late || !v.founds(id.Founder)) {
			s.log.Info("the cluster exists: joining it")
			s.join(n, s.clusterAddresses())
			return
		}
		switch {
		case id.Founder != "" && id.Founder != n.id:
			if v.founds(id.Founder) {
				heard = time.Now()
			} else if time.Since(heard) > s.cfg.timing.foundPatience && s.withdraw(n, nil) {
				return
			}
		case len(v.fresh)+1 == len(s.cfg.Cluster), late && len(v.fresh)+1 > len(s.cfg.Cluster)/2:
			if done, err := s.propose(n, v); err != nil {
				s.end(err)
				return
			} else if done {
				return
			}
		}
		s.setReasonOfKind(v.reason(late))
		t.Reset(s.cfg.timing.found)
	}
}

// reason says what a new node waits for. That has no kind, and so is not logged, before it is late.
func (v survey) reason(late bool) (kind, reason string) {
	reason = "waiting for the cluster's nodes to be up"
	switch {
	case len(v.problems) > 0: // which say more than that others are missing
		kind = strings.Join(v.problems, "; ")
		reason = kind
	case late:
		kind = "waiting for a majority of the cluster's nodes to be up"
		reason = kind
	}
	if len(v.missing) > 0 {
		reason += ": no answer from " + strings.Join(v.missing, ", ")
	}
	return kind, reason
}

// founds tells whether a founder is up, is that server still, and has founded the cluster or is about to.
func (v survey) founds(founder serverid.ID) bool {
	return slices.ContainsFunc(v.heard, func(l listed) bool {
		return l.ID == founder && (l.Phase != phaseNew || l.Founder == founder)
	})
}

// propose makes this node the founder if no other new node comes before it by name. It is done when the cluster's first
// entry is written.
func (s founding) propose(n *node, v survey) (done bool, err error) {
	for _, l := range v.fresh {
		if l.Name < s.cfg.Name || l.Founder != "" && l.Founder != n.id {
			// That node is the founder, or another one is already. Nothing has come of this node's own proposal.
			return false, s.promiseTo(n, "")
		}
	}
	if err := s.promiseTo(n, n.id); err != nil {
		return false, err
	}
	voters := []raftnode.Member{{ID: n.id, Address: s.address()}}
	for _, l := range v.fresh {
		if s.promised(s.ctx, l, n.id) {
			voters = append(voters, raftnode.Member{ID: l.ID, Address: l.Address})
		}
	}
	if len(voters) <= len(s.cfg.Cluster)/2 {
		return false, nil
	}
	s.log.Info("founding the cluster", "voters", len(voters), "nodes", len(s.cfg.Cluster))
	if err := s.bootstrap(n, voters); err != nil {
		return false, err
	}
	n.raft.Stand(s.ctx)
	s.wg.Go(func() { s.watchFounding(n) })
	return true, nil
}

// promiseTo notes to which founder this node has promised itself.
func (s founding) promiseTo(n *node, founder serverid.ID) error {
	if s.identity().Founder == founder {
		return nil
	}
	return s.rememberOf(n, func(id *identity) { id.Founder = founder })
}

// promised asks a new node to promise itself to a founder.
func (s founding) promised(ctx context.Context, l listed, founder serverid.ID) bool {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.timing.hello)
	defer cancel()
	var out memberAnswer
	req := memberRequest{ID: founder, Founding: s.cfg.founding()}
	err := s.peers.call(ctx, peernet.Peer{ID: l.ID, Address: l.Address}, opFound, req, &out)
	return err == nil && out.Member
}

// promise answers a founder that asks this node to promise itself to it.
func (s founding) promise(req memberRequest) (out memberAnswer, err error) {
	if !req.ID.Valid() || req.Founding == "" || req.Founding != s.cfg.founding() {
		return out, refuse("this node was started with another list of the cluster's nodes")
	}
	n := s.node.Load()
	if s.frozen.Load() || len(n.raft.Members()) > 0 {
		return out, errRetry
	}
	granted := false
	err = s.rememberOf(n, func(id *identity) {
		if granted = id.Phase == phaseNew && (id.Founder == "" || id.Founder == req.ID); granted {
			id.Founder = req.ID
		}
	})
	if err != nil {
		s.end(err)
		return out, err
	}
	return memberAnswer{Member: granted}, nil
}

// onlyFounded tells whether this node's log has nothing but the entry that founds a cluster of several.
func (n *node) onlyFounded() bool { return n.raft.LastIndex() == 1 && len(n.raft.Members()) > 1 }

// watchFounding has a founder whose cluster can't begin found another, or join the one that the others have founded
// without it.
func (s founding) watchFounding(n *node) {
	t := time.NewTicker(s.cfg.timing.foundPatience)
	defer t.Stop()
	for {
		if !s.goesOn(n, t.C) {
			return
		}
		if !n.onlyFounded() {
			return
		}
		v := s.survey(s.ctx)
		if (v.exists() || v.hopeless(n.raft.Members())) && s.withdraw(n, n.onlyFounded) {
			return
		}
	}
}

// hopeless tells whether too few of a cluster's founding voters are still the servers that they were.
func (v survey) hopeless(voters []raftnode.Member) bool {
	left := len(voters)
	for _, l := range v.heard {
		was := slices.ContainsFunc(voters, func(m raftnode.Member) bool { return m.ID.Name() == l.Name })
		is := slices.ContainsFunc(voters, func(m raftnode.Member) bool { return m.ID == l.ID })
		if was && !is {
			left--
		}
	}
	return left <= len(voters)/2
}

// withdraw makes this node another server, which founds its cluster, or joins it, anew. That must do nobody harm: the
// log is empty, or as still says. It is false when that is no longer so.
func (s founding) withdraw(n *node, still func() bool) bool {
	if s.claim(doesJoin) != nil {
		return false
	}
	defer s.unclaim()
	empty := func() bool { return n.raft.LastIndex() == 0 && n.raft.Term() == 0 }
	if still == nil {
		still = empty
	}
	s.frozen.Store(true)
	defer s.frozen.Store(false)
	n.halt() // from here on Raft takes nothing
	if err := n.raft.Stopped(); err != nil {
		s.end(err)
		return true
	}
	harmless := still()
	s.log.Info("withdrawing from the founding of a cluster that did not begin", "founder", s.identity().Founder, "done", harmless)
	if err := s.restart(n, func() error {
		if !harmless {
			return nil
		}
		return s.newLife(nil)
	}); err != nil {
		s.end(err)
	}
	return true
}
