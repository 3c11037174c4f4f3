package raftstore

import (
	"context"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// ProvenIndex tells whether this node, as the leader, gives a read index on another's word, without asking further.
func (s *Store) ProvenIndex(by *Store) bool {
	_, ok := s.node.Load().provenIndex(by.node.Load().termProof())
	return ok
}

// Alone tells whether this node knows itself to be the only voter, so that it reads without asking anybody.
func (s *Store) Alone() bool { return s.node.Load().raft.SoleVoter() }

// CheckRemoved has this node ask the others whether it is still a member.
func (s *Store) CheckRemoved() { s.membership.checkRemoved() }

// ErrRetry is what a request to a node that is not the leader comes to.
var ErrRetry = errRetry

// there is the leader that this node knows, at another address.
func (s *Store) there(address string) peernet.Peer {
	leader := s.node.Load().raft.LeaderID()
	return peernet.Peer{ID: leader, Address: address}
}

// AddThere and GetThere ask the node at an address, as if this one's leader were there.
func (s *Store) AddThere(ctx context.Context, address string, id, data []byte) error {
	o := newClientSession()
	op := &entry.Op{Kind: entry.Add, Identity: o.identity(o.begin()), Timeout: 60_000, ID: id, Data: data}
	return s.writer.forward(ctx, s.there(address), op)
}

func (s *Store) GetThere(ctx context.Context, address string, id []byte) ([]byte, error) {
	return s.reader.readThere(ctx, s.node.Load(), s.there(address), opGet, id)
}

// IndexThere asks for a read index.
func (s *Store) IndexThere(ctx context.Context, address string) (uint64, error) {
	at, err := s.peers.readIndex(ctx, s.there(address), s.node.Load().termProof().append(nil))
	return at.index, err
}

// AskToLeave asks the leader to take a server out, as one does that leaves.
func (s *Store) AskToLeave(ctx context.Context, id string) error {
	_, err := s.askLeader(ctx, opDrop, memberRequest{ID: serverid.ID(id)})
	return err
}

// ID tells this node from others of its name.
func (s *Store) ID() string { return string(s.identity().ID()) }

// RemoveAs asks this node, the leader, to remove a node, as another would.
func (s *Store) RemoveAs(ctx context.Context, by, name string) error {
	_, err := s.lead(ctx, opDrop, memberRequest{Name: name, By: serverid.ID(by)})
	return err
}

// Promise has a new node promise itself to a founder.
func (s *Store) Promise(founder string) (bool, error) {
	out, err := s.peerPort.founding.promise(memberRequest{ID: serverid.ID(founder), Founding: s.cfg.founding()})
	return out.Member, err
}

// Found has a new node write the first entry of a cluster that others vote in.
func (s *Store) Found(others ...string) error {
	n := s.node.Load()
	if err := s.peerPort.founding.promiseTo(n, n.id); err != nil {
		return err
	}
	voters := []raftnode.Member{{ID: n.id, Address: s.address()}}
	for _, id := range others {
		voters = append(voters, raftnode.Member{ID: serverid.ID(id), Address: id})
	}
	return s.membership.bootstrap(n, voters)
}
