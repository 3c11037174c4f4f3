package raftstore

import (
	"context"
	"errors"
	"slices"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// tellAddress tells the leader this node's new address. A node that has moved may not have heard of a leader, which calls
// it at the old one: then the other members know the leader. If no member knows one, there is none.
func (s *membership) tellAddress() {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.timing.change)
	defer cancel()
	n := s.node.Load()
	req := memberRequest{ID: n.id, Address: string(s.address())}
	var err error
	if _, ok := n.raft.Leader(); ok || n.leads() {
		_, err = s.askLeader(ctx, opMove, req)
	} else {
		s.showUp(ctx, req)
		_, err = s.askMembers(ctx, opMove, req)
	}
	if err == nil {
		s.refusal = ""
	}
	if !errors.Is(err, ErrRefused) {
		return
	}
	if said := err.Error(); s.refusal != said {
		s.refusal = said
		s.log.Warn("the cluster does not take this node's address", "address", s.address(), "error", err)
	}
	if n.leads() { // the others would look for their leader there
		if _, err := s.askLeader(ctx, opTransfer, memberRequest{}); err != nil {
			s.log.Warn("a leader that others can't find did not hand over", "error", err)
		}
	}
}

// showUp looks for the other members, and tells those that it finds where this node is, so that they can elect a leader.
// They may be anywhere that any of them was, or where the settings have them.
func (s *membership) showUp(ctx context.Context, req memberRequest) {
	n := s.node.Load()
	if n.layer == nil {
		return
	}
	for _, place := range s.places(n) {
		h, err := s.greet(ctx, peernet.Peer{Address: place})
		if _, in := n.raft.Member(h.ID); err != nil || !in || h.ID == n.id {
			continue
		}
		there := peernet.Peer{ID: h.ID, Address: place}
		n.layer.Seen(there)
		ctx, cancel := context.WithTimeout(ctx, s.cfg.timing.hello)
		var none memberAnswer
		_ = s.peers.call(ctx, there, opMove, req, &none) // who does not lead only takes note
		cancel()
	}
}

// places are the addresses at which members may be, but for this node's own.
func (s *membership) places(n *node) (list []string) {
	for _, m := range n.raft.Members() {
		if m.Address != nowhere(m.ID) {
			list = append(list, m.Address)
		}
	}
	list = append(append(list, s.cfg.Join...), s.clusterAddresses()...)
	list = slices.DeleteFunc(list, func(a string) bool { return a == string(s.address()) || checkAddress(a) != nil })
	slices.Sort(list)
	return slices.Compact(list)
}

// sawMember takes note of where another member says that it is.
func (s *admission) sawMember(n *node, req memberRequest) {
	if _, in := n.raft.Member(req.ID); in && req.ID != n.id && n.layer != nil && checkAddress(req.Address) == nil {
		n.layer.Seen(peernet.Peer{ID: req.ID, Address: req.Address})
	}
}

// unreached takes note that a node can't be reached at an address, where it may have been seen.
func (s *core) unreached(p peernet.Peer) {
	if n := s.node.Load(); n != nil && n.layer != nil {
		n.layer.Unseen(p)
	}
}

// answersAt refuses an address at which a server can't be reached.
func (s *admission) answersAt(ctx context.Context, n *node, id serverid.ID, address string) error {
	if err := checkAddress(address); err != nil {
		return refuse("%v; see -advertise", err)
	}
	if _, err := s.greet(ctx, peernet.Peer{ID: id, Address: address}); err == nil {
		return nil
	}
	return s.isThere(ctx, n, id.Name(), address)
}

// isThere refuses an address at which no node of a name can be reached.
func (s *admission) isThere(ctx context.Context, n *node, name, address string) error {
	if err := checkAddress(address); err != nil {
		return refuse("%v; see -advertise", err)
	}
	h, err := s.greet(ctx, peernet.Peer{Address: address})
	if err != nil {
		return refuse("node %s can't reach %s at %s: %v", n.cfg.Name, name, address, err)
	}
	if h.name() != name {
		return refuse("another node, %s, answers at %s; see -advertise", h.name(), address)
	}
	return nil
}

// move notes a member's new address. Where it was another member's, that one is not there any more, and tells its own when
// it is up: addresses may go round among nodes.
func (s *admission) move(ctx context.Context, n *node, req memberRequest) error {
	m, ok := n.raft.Member(req.ID)
	if !ok {
		return refuse("%s is not a member", req.ID)
	}
	before, taken := n.raft.MemberAt(req.Address)
	if taken || req.ID != n.id {
		if err := s.answersAt(ctx, n, req.ID, req.Address); err != nil {
			return err
		}
	}
	switch {
	case taken && before.ID == m.ID:
		return nil
	case taken:
		if err := asRetry(n.raft.SetAddress(before, nowhere(before.ID))); err != nil {
			return err
		}
	}
	return asRetry(n.raft.SetAddress(m, req.Address))
}

// nowhere stands for the address of a member that is not where it was: no two may have the same, and none can be empty.
func nowhere(id serverid.ID) string { return "unknown:" + string(id) }
