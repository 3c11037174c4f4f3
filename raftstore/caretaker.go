package raftstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/wire"
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

// watchMembership sees to what follows from this node's place in its cluster: the leader makes nonvoters voters, and keeps
// to one server of a name; every node notes that it has become a member, tells the leader a new address, and finds out when
// it has been removed.
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

// askMembers has the leader do something, found through any other member. Each is looked for where the configuration has
// it, or where it was seen, and answers nobody who means another.
func (s *core) askMembers(ctx context.Context, op wire.Op, req memberRequest) (out memberAnswer, err error) {
	err = ErrNoLeader
	n := s.node.Load()
	for _, m := range n.raft.Members() {
		if m.ID == n.id {
			continue
		}
		out, err = s.askThrough(ctx, n.raft.Peer(m), op, req)
		if err == nil || errors.Is(err, ErrRefused) {
			return out, err
		}
	}
	return out, err
}

// promotions are what a leader remembers of the nonvoters that it makes voters.
type promotions struct {
	before uint64    // what the leader had applied a tick ago
	last   uint64    // the log index of its last promotion
	when   time.Time // of that
	kept   string    // why a server that has forgotten something is not removed, as it was logged last
}

// promotionPatience is how long the next promotion waits for a voter that does not answer to have heard of the last one.
// The cluster must grow, or be repaired, while one is down.
const promotionPatience = 5 * time.Second

// takeCare is the leader's part: it makes a voter of each nonvoter that has what the leader had applied before. One at a
// time, the next when all voters have the last in their logs: voters that don't know each other's votes could not elect
// one of them.
func (s *admission) takeCare(n *node, care *promotions) {
	applied, _ := n.state.Applied()
	before := care.before
	care.before = applied
	s.dropForgetful(n, care)
	for _, m := range n.raft.Members() {
		if m.Voter || before == 0 {
			continue
		}
		h, ok := s.greetMember(s.ctx, n, m)
		if !ok || h.Phase == phaseNew || h.Status.Applied < before {
			continue
		}
		if lacks := s.lacking(n, care); lacks != "" {
			s.log.Debug("a node that has caught up does not vote yet: another voter has not heard of the last one that was made a voter",
				"node", m.ID.Name(), "waits for", lacks)
			return
		}
		s.promote(n, m, care)
		return
	}
}

// lacking names a voter whose log does not have the last promotion.
func (s *admission) lacking(n *node, care *promotions) string {
	for _, m := range n.raft.Members() {
		if care.last == 0 || !m.Voter || m.ID == n.id {
			continue
		}
		h, ok := s.greetMember(s.ctx, n, m)
		if ok && h.Status.LastIndex < care.last || !ok && time.Since(care.when) < s.cfg.timing.promotion {
			return m.ID.Name()
		}
	}
	return ""
}

func (s *admission) promote(n *node, m raftnode.Member, care *promotions) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if now, ok := n.raft.Member(m.ID); !ok || now != m {
		return
	}
	index, err := n.raft.Promote(m)
	if err != nil {
		s.log.Warn("a node that has caught up was not made a voter", "node", m.ID.Name(), "error", err)
		return
	}
	care.last, care.when = index, time.Now()
	s.log.Info("a node has caught up and votes", "node", m.ID.Name(), "id", m.ID, "address", m.Address)
}

// memberForgot takes note, on the leader, of a member whose log has become shorter than it had acknowledged: it may have
// forgotten votes as well. It does not block.
func (s *admission) memberForgot(id serverid.ID, acked, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forgot[id] != "" {
		return
	}
	if s.forgot == nil {
		s.forgot = make(map[serverid.ID]string)
	}
	s.forgot[id] = fmt.Sprintf("its log ended at entry %d, and it had acknowledged entry %d: its directory was restored from an older copy, or its disk lost what it said it had written",
		last, acked)
	s.log.Error("a member has forgotten what it had acknowledged, and counts as one that lost its disk", "node", id.Name(), "id", id, "problem", s.forgot[id])
}

// forgive has a node that does not lead know nothing of what others have forgotten: the next leader has brought their logs
// up to its own.
func (s *admission) forgive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgot = nil
}

// dropForgetful removes servers that have forgotten what they acknowledged, as if their disks had been lost.
func (s *admission) dropForgetful(n *node, care *promotions) {
	s.mu.Lock()
	var ids []serverid.ID
	for id := range s.forgot {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		if _, in := n.raft.Member(id); !in {
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, s.cfg.timing.change)
		_, err := s.leaderDoes(ctx, opDrop, memberRequest{ID: id})
		cancel()
		if err == nil || errors.Is(err, errRetry) || err.Error() == care.kept {
			continue
		}
		care.kept = err.Error()
		s.log.Warn("a member that has forgotten what it had acknowledged is not removed", "node", id.Name(), "error", err)
	}
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

// setReason notes why this node has not been taken into a cluster, and logs it when it is another reason than before.
func (s *core) setReason(reason string) { s.setReasonOfKind(reason, reason) }

// setReasonOfKind is setReason of a reason whose details may change at any time: it is logged when its kind is another
// than before, unless the kind is empty.
func (s *core) setReasonOfKind(kind, reason string) {
	reason = strings.ReplaceAll(reason, "\n", "; ") // of several addresses, one each
	s.mu.Lock()
	changed := s.kind != kind
	s.kind, s.reason = kind, reason
	s.mu.Unlock()
	if changed && kind != "" {
		s.log.Warn("not a member of a cluster yet", "reason", reason)
	}
}

var errNotMember = errors.New("the node there is not a member of a cluster")
