package raftstore

import (
	"context"
	"errors"

	"github.com/hashicorp/raft"
)

// tellAddress tells the leader this node's new address. A node that has moved may not have heard of a leader, which
// calls it at the old one: then the other members know, or there is none, since they can't reach this node either.
func (s *Store) tellAddress() {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.timing.change)
	defer cancel()
	id, n := s.identity(), s.node.Load()
	req := memberRequest{Name: id.Name, Instance: id.Instance, Address: string(s.address())}
	var err error
	if _, ok := n.leaderAddress(); ok || n.leads() {
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

// showUp tells all members where this node is, so that they can elect a leader. They may be anywhere that any of them was.
func (s *Store) showUp(ctx context.Context, req memberRequest) {
	n := s.node.Load()
	req.Cluster = n.clusterName()
	for _, m := range n.servers() {
		if m.Address == s.address() {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, s.cfg.timing.hello)
		var none memberAnswer
		_ = s.peers.call(ctx, string(m.Address), opMove, req, &none) // who does not lead does no more than to take note
		cancel()
	}
}

// sawMember takes note of where another member says that it is, if it is there.
func (s *Store) sawMember(ctx context.Context, n *node, req memberRequest) {
	_, in := n.member(req.Name)
	known := n.state.Node(req.Name)
	if !in || req.Name == n.cfg.Name || n.layer == nil || known != req.Instance || known == "" || req.Cluster != n.clusterName() {
		return
	}
	if s.answersAt(ctx, n, req) == nil {
		n.layer.Seen(req.Name, req.Address)
	}
}

// answersAt refuses an address at which a node can't be reached.
func (s *Store) answersAt(ctx context.Context, n *node, req memberRequest) error {
	if err := checkAddress(req.Address); err != nil {
		return refuse("%v; see -advertise", err)
	}
	h, err := s.greet(ctx, req.Address)
	if err != nil {
		return refuse("node %s can't reach %s at %s: %v", n.cfg.Name, req.Name, req.Address, err)
	}
	if h.Name != req.Name || h.Instance != req.Instance {
		return refuse("another node, %s, answers at %s; see -advertise", h.Name, req.Address)
	}
	return nil
}

// move notes a member's new address. Where it was another member's, that one is not there any more, and tells its own when
// it is up: addresses may go round among nodes.
func (s *Store) move(ctx context.Context, n *node, req memberRequest) error {
	m, ok := n.member(req.Name)
	if !ok {
		return refuse("%s is not a member", req.Name)
	}
	if known := n.state.Node(req.Name); known != "" && known != req.Instance {
		return refuse("the node called %s was replaced by another", req.Name)
	}
	before, taken := n.memberAt(req.Address)
	if taken || req.Name != n.cfg.Name {
		if err := s.answersAt(ctx, n, req); err != nil {
			return err
		}
	}
	switch {
	case taken && before.ID == m.ID:
		return nil
	case taken:
		if err := n.setAddress(before, nowhere(before.ID)); err != nil {
			return err
		}
	}
	return n.setAddress(m, raft.ServerAddress(req.Address))
}

// nowhere stands for the address of a member that is not where it was: no two may have the same, and none can be empty.
func nowhere(id raft.ServerID) raft.ServerAddress { return raft.ServerAddress("unknown:" + string(id)) }

// memberAt finds a server by address.
func (n *node) memberAt(address string) (raft.Server, bool) {
	for _, m := range n.servers() {
		if string(m.Address) == address {
			return m, true
		}
	}
	return raft.Server{}, false
}

func (n *node) setAddress(m raft.Server, address raft.ServerAddress) error {
	if m.Suffrage == raft.Voter {
		return n.change(n.raft.AddVoter(m.ID, address, 0, changeTimeout))
	}
	return n.change(n.raft.AddNonvoter(m.ID, address, 0, changeTimeout))
}
