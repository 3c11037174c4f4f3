package raftstore

import (
	"errors"

	"github.com/distcache/distcache/raftstore/internal/peernet"
)

// watchDisk has the node give up when its disk has failed.
func (s *Store) watchDisk() {
	<-s.ended
	if n := s.node.Load(); n != nil && errors.Is(s.Err(), ErrDisk) {
		n.giveUp()
	}
}

// giveUp has a node that can't go on stand in nobody's way, without waiting for its disk, which may hang: what waits
// here is told to ask again, and no heartbeat keeps the other nodes from electing a leader. It is still to be closed.
func (n *node) giveUp() {
	n.halt()
	if t, ok := n.transport.(*peernet.Transport); ok {
		// Raft closes it as well, but only when it has stopped.
		_ = t.Close()
		t.CloseStreams()
	}
	n.silence()
}

// halt begins to stop Raft, and what this node does by itself.
func (n *node) halt() {
	n.halting.Do(func() {
		close(n.stop)
		n.raft.DeregisterObserver(n.observer)
		n.shut = n.raft.Shutdown()
	})
}

// silence has the requests that wait in this node asked again.
func (n *node) silence() {
	n.silencing.Do(func() {
		n.batcher.close()
		n.reads.close()
		n.indexes.close()
	})
}
