package raftstore

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

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

// A raftLayer is a layer that opens no more connections once it is closed. Raft's goroutines for heartbeats would: they end
// when its main one does, which may be waiting for the disk.
type raftLayer struct {
	*peernet.Layer
	closed chan struct{}
	once   sync.Once
}

func newRaftLayer(l *peernet.Layer) *raftLayer {
	return &raftLayer{Layer: l, closed: make(chan struct{})}
}

// Dial connects to another node's Raft.
func (l *raftLayer) Dial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
		return l.Layer.Dial(target, timeout)
	}
}

// Close closes the layer.
func (l *raftLayer) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Layer.Close()
}
