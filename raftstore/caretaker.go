package raftstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/wire"
)

const (
	caretakerTick = 200 * time.Millisecond
	// doubtAfter is how long a node is without a leader before it asks whether it is still a member.
	doubtAfter = 3 * time.Second
)

// watchMembership sees to what follows from this node's place in its cluster: the leader makes nonvoters voters and
// registers instances; every node notes that it has become a member, tells the leader a new address, and finds out when
// it has been removed.
func (s *Store) watchMembership() {
	t := time.NewTicker(s.cfg.timing.caretaker)
	defer t.Stop()
	var before uint64 // what the leader had applied a tick ago
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
		self, in := n.member(s.cfg.Name)
		if in {
			s.noteMember()
		}
		if in && self.Address != s.address() {
			s.tellAddress()
		}
		if n.leads() {
			applied, _ := n.state.Applied()
			s.takeCare(n, before)
			before = applied
		}
		if _, ok := n.leaderAddress(); ok || n.leads() {
			lastLeader = time.Now()
		}
		if s.identity().Phase == phaseMember && (!in || time.Since(lastLeader) > s.cfg.timing.doubt) {
			s.checkRemoved()
			lastLeader = time.Now()
		}
	}
}

// noteMember notes in node.json that this node's log has it in a cluster.
func (s *Store) noteMember() {
	if p := s.identity().Phase; p != phaseNew && p != phaseAdmitted {
		return
	}
	err := s.remember(func(id *identity) { id.Phase, id.Join = phaseMember, nil })
	if err != nil {
		s.end(err)
		return
	}
	s.setReason("")
	s.log.Info("member of a cluster", "node", s.cfg.Name, "members", memberNames(s.node.Load()))
}

// askMembers has the leader do something, found through any other member.
func (s *Store) askMembers(ctx context.Context, op wire.Op, req memberRequest) (out memberAnswer, err error) {
	err = ErrNoLeader
	n := s.node.Load()
	req.Cluster = n.clusterName()
	for _, m := range n.servers() {
		if m.Address == s.address() {
			continue
		}
		out, err = s.askThrough(ctx, string(m.Address), op, req)
		if err == nil || errors.Is(err, ErrRefused) {
			return out, err
		}
	}
	return out, err
}

// takeCare is the leader's part: it gives the cluster a name, registers the instances it meets, and makes a voter of each nonvoter that has what
// the leader had applied before.
func (s *Store) takeCare(n *node, before uint64) {
	if s.clusterName() == "" && !s.registerSoon(clusterKey, newInstance()) {
		return
	}
	for _, m := range n.servers() {
		name := string(m.ID)
		known := n.state.Node(name)
		if m.Suffrage == raft.Voter && known != "" {
			continue
		}
		h := s.hello()
		if name != s.cfg.Name {
			var err error
			if h, err = s.greet(s.ctx, string(m.Address)); err != nil || h.Name != name || h.Phase == phaseNew {
				continue
			}
		}
		if h.Cluster != "" && h.Cluster != n.clusterName() {
			continue
		}
		if known == "" {
			if !s.registerSoon(name, h.Instance) {
				return
			}
			continue
		}
		if m.Suffrage != raft.Voter && known == h.Instance && before > 0 && h.Status.Applied >= before {
			s.promote(n, m)
		}
	}
}

func (s *Store) promote(n *node, m raft.Server) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if now, ok := n.member(string(m.ID)); !ok || now != m {
		return
	}
	if err := n.change(n.raft.AddVoter(m.ID, m.Address, 0, changeTimeout)); err != nil {
		s.log.Warn("a node that has caught up was not made a voter", "node", m.ID, "error", err)
		return
	}
	s.log.Info("a node has caught up and votes", "node", m.ID, "address", m.Address)
}

// registerSoon is register for the caretaker, who comes by again.
func (s *Store) registerSoon(name, instance string) bool {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.timing.change)
	defer cancel()
	return s.register(ctx, name, instance) == nil
}

// register notes in the log which instance a name belongs to.
func (s *Store) register(ctx context.Context, name, instance string) error {
	err := s.write(ctx, entry.Op{Kind: entry.Node, ID: []byte(name), Data: []byte(instance)})
	if err != nil {
		return fmt.Errorf("register node %s: %w", name, err)
	}
	return nil
}

// checkRemoved asks the cluster whether this node still belongs to it, and where. Only the leader's word counts.
func (s *Store) checkRemoved() {
	ctx, cancel := context.WithTimeout(s.ctx, 2*s.cfg.timing.hello)
	defer cancel()
	id := s.identity()
	out, err := s.askMembers(ctx, opMember, memberRequest{Name: id.Name, Instance: id.Instance})
	if err == nil && out.Member && out.Address != string(s.address()) {
		s.tellAddress() // nobody calls here, as long as the others have another one
	}
	if err != nil || out.Member || !s.changing.TryLock() { // a node that is leaving says itself that it has left
		return
	}
	defer s.changing.Unlock()
	if s.identity().Phase == phaseMember {
		s.removed()
	}
}

func (s *Store) removed() {
	if err := s.remember(func(id *identity) { id.Phase = phaseRemoved }); err != nil {
		s.log.Error("could not note that this node was removed", "error", err)
	}
	s.end(departed(ErrRemoved, s.cfg.Dir))
}

// setReason notes why this node has not been taken into a cluster, and logs it when it is another reason than before.
func (s *Store) setReason(reason string) {
	reason = strings.ReplaceAll(reason, "\n", "; ") // of several addresses, one each
	s.mu.Lock()
	changed := s.reason != reason
	s.reason = reason
	s.mu.Unlock()
	if changed && reason != "" {
		s.log.Warn("not a member of a cluster yet", "reason", reason)
	}
}

var errNotMember = errors.New("the node there is not a member of a cluster")
