package raftstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/wire"
)

const (
	joinPause = 300 * time.Millisecond // between two attempts
	// joinPatience is how long an admitted node waits for the log before it asks again.
	joinPatience = 30 * time.Second
	// dryPatience is how long a cluster may take to say whether it would take a node in.
	dryPatience = 5 * time.Second
)

// join has a cluster take this empty node in, trying its members until one does.
func (s *membership) join(n *node, addresses []string) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		if !s.goesOn(n, t.C) {
			return
		}
		if _, in := n.raft.Member(n.id); in {
			return
		}
		next := s.cfg.timing.join
		if err := s.joinOnce(n, addresses); err != nil {
			s.setReason(err.Error())
		} else {
			next = s.cfg.timing.joinPatience
		}
		t.Reset(next)
	}
}

func (s *membership) joinOnce(n *node, addresses []string) error {
	var errs []error
	for _, a := range addresses {
		if a == s.cfg.Advertise {
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, s.cfg.timing.change)
		_, err := s.askThrough(ctx, peernet.Peer{Address: a}, opJoin, memberRequest{ID: n.id, Address: s.cfg.Advertise})
		cancel()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		err = s.rememberOf(n, func(id *identity) {
			if id.Phase == phaseNew {
				id.Phase = phaseAdmitted
			}
			if id.Phase == phaseAdmitted {
				id.Join = addresses
			}
		})
		if err != nil {
			s.end(err)
			return err
		}
		return nil
	}
	if len(errs) == 0 {
		return errors.New("no address to join through but this node's own")
	}
	return errors.Join(errs...)
}

func (s *membership) joinOthers(ctx context.Context, addresses []string, discard bool) error {
	if err := s.claim(doesJoin); err != nil {
		return err
	}
	defer s.unclaim()
	if err := s.mayJoin(ctx, addresses); err != nil {
		return err
	}
	old := s.node.Load()
	s.frozen.Store(true)
	defer s.frozen.Store(false)
	if err := s.settle(ctx, old); err != nil {
		return err
	}
	if err := s.standsAlone(old); err != nil { // somebody may have joined since
		return err
	}
	if sessions := old.state.Len(); sessions > 0 && !discard {
		return fmt.Errorf("%w: this node has %d sessions: %w", ErrRefused, sessions, ErrOwnSessions)
	}
	if err := s.why(); err != nil {
		return err
	}
	s.log.Info("giving up this node's own state to join a cluster", "through", addresses)
	// A failure ends the store: the next start may find that all is to be discarded.
	if err := s.restart(old, func() error { return s.newLife(addresses) }); err != nil {
		s.end(err)
		return err
	}
	s.frozen.Store(false)
	return s.awaitMember(ctx)
}

// standsAlone refuses for a node that is not alone in its cluster.
func (s *membership) standsAlone(n *node) error {
	s.admission.configuration.Lock() // whoever is being taken in is a member after that; nobody is taken in while the node is frozen
	defer s.admission.configuration.Unlock()
	switch servers := n.raft.Members(); {
	case len(servers) > 1:
		return refuse("this node is a member of a cluster already, with %s; it would have to leave first", memberNames(n))
	case len(servers) == 0:
		return refuse("this node is joining a cluster already")
	}
	return nil
}

// mayJoin makes sure, as far as can be known before anything is given up, that the cluster will take this node.
func (s *membership) mayJoin(ctx context.Context, addresses []string) error {
	if s.mux == nil {
		return fmt.Errorf("%w: %w", ErrRefused, ErrNoPeerPort)
	}
	if len(addresses) == 0 {
		return refuse("the peer address of a member is needed")
	}
	for _, a := range addresses {
		if err := checkAddress(a); err != nil {
			return refuse("%v", err)
		}
	}
	if err := s.standsAlone(s.node.Load()); err != nil {
		return err
	}
	agreed := s.admission.agreement()
	if agreed.with != "" && time.Since(agreed.when) < s.cfg.timing.agreement {
		return refuse("this node has just agreed to take %s in", agreed.with)
	}
	// A cluster that is electing a leader, or has just taken another node in, will answer in a moment.
	ctx, cancel := context.WithTimeout(ctx, s.cfg.timing.dry)
	defer cancel()
	for {
		err := s.joinDry(ctx, addresses)
		if err == nil || errors.Is(err, ErrRefused) || pause(ctx, s.ended, nil) {
			return err
		}
	}
}

func (s *membership) joinDry(ctx context.Context, addresses []string) error {
	var errs []error
	for _, a := range addresses {
		// The node will have another ID when it joins.
		req := memberRequest{ID: serverid.New(s.cfg.Name, serverid.NewIncarnation()), Address: s.cfg.Advertise, Dry: true}
		_, err := s.askThrough(ctx, peernet.Peer{Address: a}, opJoin, req)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// settle waits until everything that was accepted before has been applied, so that no acknowledged session is
// overlooked. A node that has just started leads nothing yet, not even itself.
func (s *membership) settle(ctx context.Context, n *node) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.timing.dry)
	defer cancel()
	for {
		news := n.raft.LeaderChanged()
		done := make(chan error, 1)
		n.batcher.propose(waiterFunc(func(_ wire.Status, err error) { done <- err }))
		select {
		case err := <-done:
			if err == nil {
				return nil
			}
		case <-ctx.Done():
			return ErrNoLeader
		case <-s.ended:
			return s.why()
		}
		if pause(ctx, s.ended, news) {
			return ErrNoLeader
		}
	}
}

func (s *membership) awaitMember(ctx context.Context) error {
	t := time.NewTicker(retryPause)
	defer t.Stop()
	for {
		if s.identity().Phase == phaseMember && s.node.Load().hasJoined() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not a member yet, still trying: %w (%s)", ctx.Err(), s.status().Reason)
		case <-s.ended:
			return s.why()
		case <-t.C:
		}
	}
}

func (s *membership) leave(ctx context.Context) error {
	if err := s.claim(doesLeave); err != nil {
		return err
	}
	defer s.unclaim()
	n := s.node.Load()
	switch len(n.raft.Members()) {
	case 0:
		return refuse("this node is not a member of a cluster yet; stop it instead")
	case 1:
		return refuse("this node is its cluster's only member; stop it instead")
	}
	if _, err := s.askLeader(ctx, opDrop, memberRequest{ID: n.id}); err != nil {
		return err
	}
	if err := s.remember(func(id *identity) { id.Phase = phaseLeft }); err != nil {
		return err
	}
	s.end(departed(ErrLeft, s.cfg.Dir))
	return nil
}

func (s *membership) removeNode(ctx context.Context, name string) error {
	if name == s.cfg.Name {
		return refuse("%s is this node itself; say leave here instead", name)
	}
	if err := s.belongs(); err != nil {
		return err
	}
	_, err := s.askLeader(ctx, opDrop, memberRequest{Name: name})
	return err
}

func (s *membership) transfer(ctx context.Context, name string) error {
	if err := s.belongs(); err != nil {
		return err
	}
	_, err := s.askLeader(ctx, opTransfer, memberRequest{Name: name})
	return err
}

func (s *membership) stepdown(ctx context.Context) error {
	n := s.node.Load()
	if n.raft.Role() != raftnode.Leader || n.raft.SoleVoter() {
		return nil
	}
	// When the others are stopping too, nobody takes over.
	ctx, cancel := context.WithTimeout(ctx, 3*s.cfg.Heartbeat)
	defer cancel()
	handOver, err := s.admission.transfer(ctx, n, "")
	if err == nil {
		err = handOver()
	}
	if err != nil {
		return err
	}
	for {
		news := n.raft.LeaderChanged()
		if _, ok := n.raft.Leader(); ok {
			return nil
		}
		if pause(ctx, s.ended, news) {
			return ErrNoLeader
		}
	}
}
