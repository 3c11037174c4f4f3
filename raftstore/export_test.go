package raftstore

// Vouched tells whether this node, as the leader, gives a read index on another's word, without asking further.
func (s *Store) Vouched(by *Store) bool {
	_, ok := s.node.Load().vouched(by.node.Load().vouch())
	return ok
}

// Alone tells whether this node knows itself to be the only voter, so that it reads without asking anybody.
func (s *Store) Alone() bool { return s.node.Load().alone() }
