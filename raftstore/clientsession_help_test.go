package raftstore

import (
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// PassTime has a leader's log go on by so much, as quickly as that can be: client sessions that are not heard of are
// forgotten by a clock that goes on by some seconds with each entry.
func PassTime(t testing.TB, s *Store, d time.Duration) {
	t.Helper()
	n := s.node.Load()
	for ; d > 0; d -= 5 * time.Second {
		stamp, _ := n.state.Clock()
		b := entry.Begin(nil)
		entry.Seal(b, entry.Header{Stamp: stamp + 5000})
		if _, err := n.raft.Propose(b)(); err != nil {
			t.Fatal(err)
		}
	}
}

// Suspend keeps this node from asking anything, as a machine does that is suspended, and loses the answers to what it
// has asked. Resume ends that.
func (s *Store) Suspend() {
	s.frozen.Store(true)
	if leader, ok := s.node.Load().raft.Leader(); ok {
		s.peers.drop(leader)
	}
}

func (s *Store) Resume() { s.frozen.Store(false) }
