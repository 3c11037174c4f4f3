package raftstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distcache/distcache/raftstore/internal/peernet"
)

const (
	caretakerTick = 200 * time.Millisecond
	// doubtAfter is how long a node is without a leader before it asks whether it is still a member.
	doubtAfter = 3 * time.Second
)

// membership is this node's place in its cluster.
type membership struct {
	*core
	admission *admission
	refusal   string // why the leader does not take this node's address; tellAddress' own
}

// watchMembership sees to what follows from this node's place in its cluster: the leader makes nonvoters voters, and
// keeps to one server of a name; every node notes that it has become a member, tells the leader a new address, and
// finds out when it has been removed.
func (s *membership) watchMembership() {
	t := time.NewTicker(s.cfg.timing.caretaker)
	defer t.Stop()
	var care promotions
	lastLeader := time.Now()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.ended:
			return
		case <-t.C:
		}
		n := s.node.Load()
		if s.frozen.Load() {
			continue
		}
		self, in := n.raft.Member(n.id)
		if in && !n.onlyFounded() {
			s.noteMember(n)
		}
		if in && self.Address != s.address() {
			s.tellAddress()
		}
		if n.leads() {
			s.admission.takeCare(n, &care)
		} else {
			care = promotions{}
			s.admission.forgive()
		}
		if _, ok := n.raft.Leader(); ok || n.leads() {
			lastLeader = time.Now()
		}
		if taken := s.identity().Phase == phaseMember || len(n.raft.Members()) > 0; taken && (!in || time.Since(lastLeader) > s.cfg.timing.doubt) {
			s.checkRemoved()
			lastLeader = time.Now()
		}
	}
}

// noteMember notes in node.json that this node's log has it in a cluster.
func (s *membership) noteMember(n *node) {
	if p := s.identity().Phase; p != phaseNew && p != phaseAdmitted {
		return
	}
	err := s.rememberOf(n, func(id *identity) { id.Phase, id.Join = phaseMember, nil })
	if err != nil {
		s.end(err)
		return
	}
	s.setReason("")
	what := "member of a cluster"
	if !n.raft.Voter(n.id) {
		what = "taken into a cluster; this node votes when it has caught up"
	}
	s.log.Info(what, "node", s.cfg.Name, "id", n.id, "members", memberNames(n))
}

// checkRemoved asks the cluster whether this node still belongs to it, and where. Only the leader's word counts.
func (s *membership) checkRemoved() {
	ctx, cancel := context.WithTimeout(s.ctx, 2*s.cfg.timing.hello)
	defer cancel()
	id := s.identity().ID()
	out, err := s.askMembers(ctx, opMember, memberRequest{ID: id})
	if err != nil && !errors.Is(err, ErrRefused) {
		// The others may have moved, or have taken this node's address for another's, and look for it nowhere.
		s.showUp(s.ctx, memberRequest{ID: id, Address: string(s.address())})
	}
	if err == nil && out.Member && out.Address != string(s.address()) {
		s.tellAddress() // nobody calls here, as long as the others have another one
	}
	if err != nil || out.Member || !s.changing.TryLock() { // a node that is leaving says itself that it has left
		return
	}
	defer s.changing.Unlock()
	if s.identity().Phase != phaseLeft {
		s.removed(out.Reason)
	}
}

func (s *membership) removed(reason string) {
	if err := s.remember(func(id *identity) { id.Phase = phaseRemoved }); err != nil {
		s.log.Error("could not note that this node was removed", "error", err)
	}
	why := error(ErrRemoved)
	if reason != "" {
		why = fmt.Errorf("%w: %s", ErrRemoved, reason)
	}
	s.end(departed(why, s.cfg.Dir))
}

// tellAddress tells the leader this node's new address. A node that has moved may not have heard of a leader, which
// calls it at the old one: then the other members know the leader. If no member knows one, there is none.
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

// showUp looks for the other members, and tells those that it finds where this node is, so that they can elect a
// leader. They may be anywhere that any of them was, or where the settings have them.
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
