package raftstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A Role is what a node is doing in its cluster.
type Role string

// The roles of a node.
const (
	RoleLeader      Role = "leader"
	RoleFollower    Role = "follower"
	RoleCandidate   Role = "candidate"   // it has no leader, and asks for votes
	RoleJoining     Role = "joining"     // it has not been taken into a cluster yet, or is catching up and does not vote yet
	RoleRemoved     Role = "removed"     // it was taken out of its cluster
	RoleStopped     Role = "stopped"     // it is closing, or has failed
	RoleUnreachable Role = "unreachable" // another node asked it and got no answer
)

// Status is one node's own view of itself and its cluster.
type Status struct {
	Node      string `json:"node"`
	ID        string `json:"id"`                // the node's as a Raft server: its name, and which life of its disk this is
	Address   string `json:"address,omitempty"` // where other nodes reach it; empty without a peer port
	Role      Role   `json:"role"`
	Reason    string `json:"reason,omitempty"` // why it does not serve, when it does not
	Doing     string `json:"doing,omitempty"`  // what it was told to do and has under way: compacting its files, joining a cluster, leaving its cluster
	Voter     bool   `json:"voter"`
	Leader    string `json:"leader,omitempty"`         // the leader's name, empty while there is none
	LeaderAt  string `json:"leader_address,omitempty"` // the leader's peer address
	Term      uint64 `json:"term"`
	LogFirst  uint64 `json:"first_index"` // of the log: what came before is only in the state file
	LastIndex uint64 `json:"last_index"`
	Commit    uint64 `json:"commit_index"`
	Applied   uint64 `json:"applied_index"` // of the state machine
	Flushed   uint64 `json:"flushed_index"` // what the state file holds
	Sessions  int    `json:"sessions"`
	Limit     uint64 `json:"sessions_limit"`           // 0: none
	StateSize int64  `json:"state_bytes"`              // of the state file
	LogKind   string `json:"log_kind"`                 // bolt or wal
	LogSize   int64  `json:"log_bytes"`                // of the log's files
	LogFree   int64  `json:"log_bytes_free,omitempty"` // of LogSize: given back when the node next starts
	Reads     string `json:"reads"`                    // linearizable, leader or local
	Clocks    string `json:"clocks,omitempty"`         // which nodes' clocks are more than a second off the median of the voters'
	Process
}

// A Process is the program that runs a node. One of an earlier version says nothing of itself.
type Process struct {
	Version string `json:"version,omitempty"`
	Uptime  int64  `json:"uptime_seconds,omitempty"`

	Certificate string     `json:"certificate,omitempty"`         // whose it is; empty without one
	Expires     *time.Time `json:"certificate_expires,omitempty"` // with Certificate
	Insecure    bool       `json:"insecure_peer,omitempty"`       // it talks to other machines without certificates

	SealedBy string `json:"sealed_by,omitempty"`      // the rings of the seal key with their fingerprints, the newest last
	Plain    int    `json:"plain_sessions,omitempty"` // with SealedBy: those that are not sealed
}

// A Member is one node of the cluster as the answering node sees it.
type Member struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	Voter    bool   `json:"voter"`
	Role     Role   `json:"state"`
	Applied  uint64 `json:"applied_index"`
	Lag      uint64 `json:"lag"` // log entries behind the leader
	Sessions int    `json:"sessions"`
	Error    string `json:"error,omitempty"` // why it is unreachable
	Process
}

// Status is this node's view of itself and its cluster.
func (s *Store) Status() Status { return s.status() }

func (s *core) process() Process {
	p := Process{Version: s.cfg.Version, Uptime: int64(time.Since(s.opened).Seconds())}
	p.SealedBy = s.sealedBy()
	p.Insecure = s.mux != nil && s.cfg.Security == nil && !loopback(s.cfg.Advertise)
	if c, ok := s.cfg.Security.(interface {
		Certificate() (identity string, expires time.Time)
	}); ok {
		identity, expires := c.Certificate()
		p.Certificate, p.Expires = identity, &expires
	}
	return p
}

func (s *core) status() Status {
	s.mu.Lock()
	id, reason, ended := s.id, s.reason, s.err
	s.mu.Unlock()
	n := s.node.Load()
	if n == nil {
		return Status{Node: id.Name, Role: RoleStopped}
	}
	st := Status{
		Node:      id.Name,
		Role:      RoleFollower,
		Reason:    reason,
		Doing:     s.progress(n),
		Term:      n.raft.Term(),
		LastIndex: n.raft.LastIndex(),
		Commit:    n.raft.CommitIndex(),
		Sessions:  n.state.Len(),
		Limit:     s.cfg.Sessions,
		LogKind:   s.cfg.RaftLog.String(),
		Reads:     s.cfg.Reads.String(),
		Process:   s.process(),
	}
	if s.mux != nil {
		st.Address = s.cfg.Advertise
	}
	st.Plain = n.state.Plain()
	st.LogFirst, _ = n.logs.FirstIndex()
	st.Applied, _ = n.state.Applied()
	st.Flushed, st.StateSize = n.state.Flushed()
	st.LogSize, st.LogFree = n.logs.Size()
	leader := n.raft.LeaderID()
	st.Leader, st.LeaderAt = leader.Name(), s.leaderAt(n, leader)
	self, in := n.raft.Member(n.id)
	st.ID = string(n.id)
	st.Clocks = wrong(n.clockOffsets())
	st.Voter = in && self.Voter
	switch {
	case ended != nil:
		st.Role, st.Reason = RoleStopped, ended.Error()
		if id.Phase == phaseRemoved || id.Phase == phaseLeft {
			st.Role = RoleRemoved
		}
	case !in:
		st.Role = RoleJoining
	case !n.hasJoined() && n.raft.Role() != raftnode.Leader:
		st.Role = RoleJoining
		if st.Reason == "" {
			st.Reason = "it is catching up with its cluster, and does not vote yet"
		}
	case n.raft.Role() == raftnode.Leader:
		st.Role = RoleLeader
	case n.raft.Role() == raftnode.Candidate, leader == "":
		st.Role = RoleCandidate
	}
	return st
}

// progress is what the node is doing with itself, and how far that has come.
func (s *core) progress(n *node) string {
	what := s.underWay()
	if copied, all := n.state.Copied(); what == doesCompact && all > 0 {
		what += fmt.Sprintf(": %d%% of the sessions are copied", min(100, 100*copied/all))
	}
	return what
}

// leaderAt is the leader's peer address, empty when nobody knows it.
func (s *core) leaderAt(n *node, leader serverid.ID) string {
	if leader == n.id {
		return string(s.address())
	}
	p, _ := n.raft.Leader()
	return p.Address
}

// Members asks every member for its status, all at once, and gives them by name. One that does not answer within a
// second is unreachable; that is no error. Those are ctx's, when it ends before, and the store's own when it has ended:
// see Err.
func (s *Store) Members(ctx context.Context) ([]Member, error) {
	if err := s.why(); err != nil {
		return nil, err
	}
	n := s.node.Load()
	servers := n.raft.Members()
	members := make([]Member, len(servers))
	var wg sync.WaitGroup
	for i, m := range servers {
		members[i] = Member{Name: m.ID.Name(), Address: m.Address, Voter: m.Voter}
		if m.ID == n.id {
			members[i].fill(s.status())
			continue
		}
		wg.Go(func() {
			h, err := s.greet(ctx, n.raft.Peer(m))
			if err != nil {
				members[i].Role, members[i].Error = RoleUnreachable, s.unreachable(ctx, m, err).Error()
				return
			}
			members[i].fill(h.Status)
		})
	}
	wg.Wait()
	if err := cmp.Or(s.why(), ctx.Err()); err != nil {
		return nil, err
	}
	var newest uint64
	for _, m := range members {
		newest = max(newest, m.Applied)
	}
	for i := range members {
		if members[i].Role != RoleUnreachable {
			members[i].Lag = newest - members[i].Applied
		}
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return members, nil
}

// unreachable says why a member does not answer: another node may be at its address.
func (s *core) unreachable(ctx context.Context, m raftnode.Member, err error) error {
	h, other := s.greet(ctx, peernet.Peer{Address: m.Address})
	switch {
	case other != nil || h.ID == m.ID:
		return err
	case h.name() == m.ID.Name():
		return errors.New("a node of that name answers there, with another directory: it is not this member")
	}
	return fmt.Errorf("another node, %s, answers there", h.name())
}

func (m *Member) fill(st Status) {
	m.Role, m.Applied, m.Sessions, m.Process = st.Role, st.Applied, st.Sessions, st.Process
}
