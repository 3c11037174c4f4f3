package raftstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// promotions are what a leader remembers of the nonvoters that it makes voters.
type promotions struct {
	before uint64    // what the leader had applied a tick ago
	last   uint64    // the log index of its last promotion
	when   time.Time // of that
	kept   string    // why a server that has forgotten something is not removed, as it was logged last
}

// promotionPatience is how long the next promotion waits for a voter that does not answer to have heard of the last
// one. The cluster must grow, or be repaired, while one is down.
const promotionPatience = 5 * time.Second

// takeCare is the leader's part: it makes a voter of each nonvoter that has what the leader had applied before. One at
// a time, the next when all voters have the last in their logs: voters that don't know each other's votes could not
// elect one of them.
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
	s.configuration.Lock()
	defer s.configuration.Unlock()
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

// memberForgot takes note, on the leader, of a member whose log has become shorter than it had acknowledged: it may
// have forgotten votes as well. It does not block.
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

// forgive has a node that does not lead know nothing of what others have forgotten: the next leader has brought their
// logs up to its own.
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
