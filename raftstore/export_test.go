package raftstore

import (
	"context"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// Vouched tells whether this node, as the leader, gives a read index on another's word, without asking further.
func (s *Store) Vouched(by *Store) bool {
	_, ok := s.node.Load().vouched(by.node.Load().vouch())
	return ok
}

// Alone tells whether this node knows itself to be the only voter, so that it reads without asking anybody.
func (s *Store) Alone() bool { return s.node.Load().alone() }

// CheckRemoved has this node ask the others whether it is still a member.
func (s *Store) CheckRemoved() { s.checkRemoved() }

// ErrRetry is what a request to a node that is not the leader comes to.
var ErrRetry = errRetry

// Cluster is the name of the cluster, once this node knows it.
func (s *Store) Cluster() string { return s.clusterName() }

// AddThere and GetThere ask the node at an address, as if it were this one's leader.
func (s *Store) AddThere(ctx context.Context, address string, id, data []byte) error {
	o := newOrigin()
	op := &entry.Op{Kind: entry.Add, Identity: o.identity(o.begin()), Timeout: 60_000, ID: id, Data: data}
	return s.forward(ctx, s.node.Load(), address, op)
}

func (s *Store) GetThere(ctx context.Context, address string, id []byte) ([]byte, error) {
	return s.readThere(ctx, s.node.Load(), address, opGet, id)
}

// IndexThere asks for a read index.
func (s *Store) IndexThere(ctx context.Context, address string) (uint64, error) {
	n := s.node.Load()
	at, err := s.peers.readIndex(ctx, address, n.vouch().append(n.appendCluster(nil)))
	return at.index, err
}

// AskToLeave asks the leader to take the last node of a name out, as that does when it leaves.
func (s *Store) AskToLeave(ctx context.Context, name, instance string) error {
	_, err := s.askLeader(ctx, opDrop, memberRequest{Name: name, Instance: instance})
	return err
}

// Instance tells this node from others of its name.
func (s *Store) Instance() string { return s.identity().Instance }

// RemoveAs asks this node, the leader, to remove a node, as another would.
func (s *Store) RemoveAs(ctx context.Context, by, name string) error {
	_, err := s.leaderDoes(ctx, opDrop, memberRequest{Name: name, By: by})
	return err
}

// Knows tells whether this node's state has an instance of a node.
func (s *Store) Knows(name string) bool { return s.node.Load().state.Node(name) != "" }
