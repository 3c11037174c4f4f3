package raftstore

import (
	"errors"
	"fmt"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
)

// startNode opens a node on the files in the data directory, and starts what a new one needs to become a member.
func (s *membership) startNode() error {
	id := s.identity()
	var layer *peernet.Layer
	if s.mux != nil {
		layer = s.mux.Layer(peernet.Peer{ID: id.ID(), Address: s.cfg.Advertise})
	}
	ask := questions{term: s.peers.termOf, index: s.peers.readIndex, clock: s.peers.clock, connect: s.peers.connected, drop: s.peers.drop, forgot: s.admission.memberForgot}
	if s.keys != nil {
		ask.epochEnds = s.keys.Due
	}
	n, err := openNode(s.cfg, id, layer, ask, func(err error) { s.end(s.cfg.advise(err)) })
	if err != nil {
		return s.cfg.advise(err)
	}
	s.node.Store(n)
	if servers := n.raft.Members(); len(servers) > 0 {
		if s.mux == nil && len(servers) > 1 {
			return &ConfigError{Setting: "Peer", Problem: fmt.Sprintf(
				"this node is a member of a cluster, with %s: it needs an address, HOST:PORT, at which they reach it", memberNames(n))}
		}
		switch {
		case n.raft.SoleVoter():
			n.raft.Stand(s.ctx) // there is no leader to wait for
		case n.onlyFounded():
			s.wg.Go(func() { founding{s}.watchFounding(n) })
		}
		return nil
	}
	join := id.Join
	if len(join) == 0 {
		join = s.cfg.Join
	}
	switch {
	case id.Founder != "" && len(s.cfg.Cluster) == 0:
		// It was started differently before, and may be one of its cluster's voters then: not as this server, from now
		// on.
		return s.restart(n, func() error { return s.newLife(id.Join) })
	case len(join) > 0:
		s.wg.Go(func() { s.join(n, join) })
	case len(s.cfg.Cluster) > 0:
		s.wg.Go(func() { founding{s}.found(n) })
	default:
		err := s.bootstrap(n, []raftnode.Member{{ID: n.id, Address: s.address()}})
		if err != nil {
			return err
		}
		n.raft.Stand(s.ctx)
	}
	return nil
}

// bootstrap makes an empty node the member of a new cluster. One that is its only voter notes that before anything is
// acknowledged.
func (s *membership) bootstrap(n *node, voters []raftnode.Member) error {
	err := n.raft.Bootstrap(voters)
	if errors.Is(err, raftnode.ErrStopped) && s.why() != nil {
		return s.why()
	}
	if err != nil { // that the log is not empty, too: nobody else knows this server's ID
		return fmt.Errorf("start a new cluster: %w", err)
	}
	if len(voters) == 1 {
		s.noteMember(n)
	}
	return nil
}

// restart closes the node, changes its files, and opens it again.
func (s *membership) restart(n *node, change func() error) error {
	if err := n.close(); err != nil {
		s.log.Warn("closing the old state", "error", err)
	}
	if err := change(); err != nil {
		return err
	}
	return s.startNode()
}

// departed is the error for a node that is no longer in its cluster.
func departed(why error, dir string) error {
	return fmt.Errorf("%w; to join again, empty %s and start it with the address of a member to join", why, dir)
}
