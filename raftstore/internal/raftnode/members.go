package raftnode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A Member is a server of the cluster's configuration.
type Member struct {
	ID      serverid.ID
	Address string // HOST:PORT
	Voter   bool
}

// ErrNotLeader is returned by a membership change when this node is not the leader, or not any more. The change may
// still take effect.
var ErrNotLeader = errors.New("this node does not lead")

// changeTimeout is how long Raft may take to begin a change of membership.
const changeTimeout = 10 * time.Second

func (n *Node) servers() []raft.Server {
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

// Members are the servers of the newest configuration in this node's log.
func (n *Node) Members() []Member {
	servers := n.servers()
	members := make([]Member, len(servers))
	for i, s := range servers {
		members[i] = Member{serverid.ID(s.ID), string(s.Address), s.Suffrage == raft.Voter}
	}
	return members
}

func (n *Node) find(f func(Member) bool) (Member, bool) {
	members := n.Members()
	i := slices.IndexFunc(members, f)
	if i < 0 {
		return Member{}, false
	}
	return members[i], true
}

// Member finds a member by ID.
func (n *Node) Member(id serverid.ID) (Member, bool) {
	return n.find(func(m Member) bool { return m.ID == id })
}

// Knows tells whether a server is a member, or the leader that this node follows. A node without a log knows everybody.
func (n *Node) Knows(id serverid.ID) bool {
	members := n.Members()
	in := slices.ContainsFunc(members, func(m Member) bool { return m.ID == id })
	return in || len(members) == 0 || n.LeaderID() == id
}

// Named finds a member by its node's name.
func (n *Node) Named(name string) (Member, bool) {
	return n.find(func(m Member) bool { return m.ID.Name() == name })
}

// MemberAt finds a member by address.
func (n *Node) MemberAt(address string) (Member, bool) {
	return n.find(func(m Member) bool { return m.Address == address })
}

// Voter tells whether a server votes.
func (n *Node) Voter(id serverid.ID) bool {
	m, in := n.Member(id)
	return in && m.Voter
}

// SoleVoter tells whether this node is the only voter, so that nobody else can have been elected. It may be false for a
// moment although this node is the only voter.
func (n *Node) SoleVoter() bool { return n.logs.SoleVoter() }

// Count is the number of voters, and the number of voters with an ID in ids.
func Count(members []Member, ids ...serverid.ID) (voters, these int) {
	for _, m := range members {
		if m.Voter {
			voters++
			if slices.Contains(ids, m.ID) {
				these++
			}
		}
	}
	return voters, these
}

// Majority tells whether these servers are more than half of the voters.
func Majority(members []Member, ids ...serverid.ID) bool {
	voters, these := Count(members, ids...)
	return these > voters/2
}

// Bootstrap writes the first entry of a new cluster to the log: a configuration of voters. It is an error if the log is
// not empty.
func (n *Node) Bootstrap(voters []Member) error {
	var c raft.Configuration
	for _, m := range voters {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(m.ID), Address: raft.ServerAddress(m.Address)})
	}
	done := make(chan error, 1)
	go func() { done <- n.raft.BootstrapCluster(c).Error() }()
	select {
	case err := <-done:
		return err
	case <-n.stop: // Raft does not answer when its disk has failed
		return ErrStopped
	}
}

// Promote makes a nonvoter a voter, and returns the index of that configuration entry.
func (n *Node) Promote(m Member) (index uint64, err error) {
	f := n.raft.AddVoter(raft.ServerID(m.ID), raft.ServerAddress(m.Address), 0, n.opts.Timing.Change)
	if err := n.changed(f); err != nil {
		return 0, err
	}
	return f.Index(), nil
}

// AddNonvoter adds a server that does not vote yet.
func (n *Node) AddNonvoter(id serverid.ID, address string) error {
	return n.changed(n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(address), 0, n.opts.Timing.Change))
}

// SetAddress gives a member another address.
func (n *Node) SetAddress(m Member, address string) error {
	if m.Address = address; m.Voter {
		_, err := n.Promote(m)
		return err
	}
	return n.AddNonvoter(m.ID, address)
}

// Remove removes a member.
func (n *Node) Remove(id serverid.ID) error {
	return n.changed(n.raft.RemoveServer(raft.ServerID(id), 0, n.opts.Timing.Change))
}

// changed waits for a membership change.
func (n *Node) changed(f raft.IndexFuture) error {
	err := n.await(f)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrRaftShutdown),
		errors.Is(err, ErrStopped), errors.Is(err, raft.ErrEnqueueTimeout),
		errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	return fmt.Errorf("change of membership: %w", err)
}

// HandOver transfers leadership to a voter. The voter must have caught up, because Raft refuses writes meanwhile.
func (n *Node) HandOver(ctx context.Context, to Member) error {
	f := n.raft.LeadershipTransferToServer(raft.ServerID(to.ID), raft.ServerAddress(to.Address))
	done := make(chan error, 1)
	go func() { done <- n.await(f) }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("leadership was not handed over: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Peer is a member's ID and address: the address that the member announced lately, or else the configuration's.
func (n *Node) Peer(m Member) peernet.Peer {
	p := peernet.Peer{ID: m.ID, Address: m.Address}
	if n.opts.Layer != nil {
		if seen, ok := n.opts.Layer.LastSeen(p.ID); ok {
			p.Address = seen
		}
	}
	return p
}
