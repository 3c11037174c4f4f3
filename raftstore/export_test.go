package raftstore

import (
	"context"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/peernet"
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

// there is the leader that this node knows, at another address.
func (s *Store) there(address string) peernet.Peer {
	_, leader := s.node.Load().raft.LeaderWithID()
	return peernet.Peer{ID: string(leader), Address: address}
}

// AddThere and GetThere ask the node at an address, as if this one's leader were there.
func (s *Store) AddThere(ctx context.Context, address string, id, data []byte) error {
	o := newOrigin()
	op := &entry.Op{Kind: entry.Add, Identity: o.identity(o.begin()), Timeout: 60_000, ID: id, Data: data}
	return s.forward(ctx, s.there(address), op)
}

func (s *Store) GetThere(ctx context.Context, address string, id []byte) ([]byte, error) {
	return s.readThere(ctx, s.node.Load(), s.there(address), opGet, id)
}

// IndexThere asks for a read index.
func (s *Store) IndexThere(ctx context.Context, address string) (uint64, error) {
	at, err := s.peers.readIndex(ctx, s.there(address), s.node.Load().vouch().append(nil))
	return at.index, err
}

// AskToLeave asks the leader to take a server out, as one does that leaves.
func (s *Store) AskToLeave(ctx context.Context, id string) error {
	_, err := s.askLeader(ctx, opDrop, memberRequest{ID: raft.ServerID(id)})
	return err
}

// ID tells this node from others of its name.
func (s *Store) ID() string { return string(s.identity().ID()) }

// RemoveAs asks this node, the leader, to remove a node, as another would.
func (s *Store) RemoveAs(ctx context.Context, by, name string) error {
	_, err := s.leaderDoes(ctx, opDrop, memberRequest{Name: name, By: raft.ServerID(by)})
	return err
}

// Promise has a new node promise itself to a founder.
func (s *Store) Promise(founder string) (bool, error) {
	out, err := s.promise(memberRequest{ID: raft.ServerID(founder), Founding: s.cfg.founding()})
	return out.Member, err
}

// Found has a new node write the first entry of a cluster that others vote in.
func (s *Store) Found(others ...string) error {
	n := s.node.Load()
	if err := s.promiseTo(n, n.id); err != nil {
		return err
	}
	c := raft.Configuration{Servers: []raft.Server{{ID: n.id, Address: s.address()}}}
	for _, id := range others {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	return s.bootstrap(n, c)
}
