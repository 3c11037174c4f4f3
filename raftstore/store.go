package raftstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/distcache/distcache/internal/ratelog"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A Store is one node: a [store.Store] that is durable, and replicated when it is a member of a cluster. Any number of
// goroutines may use it.
type Store struct {
	*core
	writer     *writer
	reader     *reader
	membership *membership
	peerPort   *peerService
	lock       *os.File
	closed     sync.Once
}

// Open opens the node whose files are in cfg.Dir, or makes a new one there. It does not wait for a leader: until there
// is one, calls wait for it as long as their contexts allow. A *ConfigError is a setting that can't work; other errors
// are the group in this package, or the operating system's.
func Open(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	own, others := cfg.joins()
	if cfg.Join = others; len(own) > 0 {
		cfg.Logger.Warn("the addresses to join through have this node's own, which is left out", "address", own, "others", others)
	}
	c := &core{
		cfg:    cfg,
		log:    cfg.Logger,
		opened: time.Now(),
		ended:  make(chan struct{}),

		unopened: ratelog.New(cfg.Logger),
	}
	c.peers = newPeers(cfg.Network, cfg.Security, func() serverid.ID { return c.identity().ID() })
	c.peers.failed = c.unreached
	c.ctx, c.cancel = context.WithCancel(context.Background())
	leader := &admission{core: c}
	c.lead = leader.leaderDoes
	m := &membership{core: c, admission: leader}
	s := &Store{core: c, writer: &writer{core: c}, reader: &reader{c}, membership: m, lock: lock,
		peerPort: &peerService{core: c, admission: leader, founding: founding{m}, bad: ratelog.New(cfg.Logger)}}
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) open() (err error) {
	if s.cfg.Peer != "" {
		// Requests are answered from here on, and wait for the node. A peer address that is wrong leaves no node.json
		// with what else may be wrong beside it.
		ready := make(chan struct{})
		defer close(ready)
		serve := func(nc net.Conn, from, to serverid.ID) {
			select {
			case <-ready:
				if s.node.Load() != nil {
					s.peerPort.servePeer(nc, from, to)
					return
				}
			case <-s.ended:
			}
			nc.Close()
		}
		s.mux, err = peernet.Listen(s.cfg.Peer, peernet.Options{
			Network: s.cfg.Network, Security: s.cfg.Security, Logger: s.log, Serve: serve})
		if err != nil {
			return fmt.Errorf("listen for other nodes on %s: %w", s.cfg.Peer, err)
		}
	}
	s.id, err = loadIdentity(s.cfg.Dir, s.cfg.Name)
	if err != nil {
		return err
	}
	switch s.id.Phase {
	case phaseLeft:
		return departed(ErrLeft, s.cfg.Dir)
	case phaseRemoved:
		return departed(ErrRemoved, s.cfg.Dir)
	}
	if err := s.openSeal(); err != nil {
		return err
	}
	if s.id.Discard || s.id.fresh() {
		// A leader may have taken a fresh node in without the node's knowing. Whatever the node does now, it does as
		// another server.
		if err := s.newLife(s.id.Join); err != nil {
			return err
		}
	}
	if err := s.membership.startNode(); err != nil {
		return err
	}
	s.wg.Go(s.membership.watchMembership)
	s.wg.Go(s.watchDisk)
	s.wg.Go(func() { s.watchSeal(s.ctx) })
	return nil
}

// Close stops the node and closes its files; sessions applied but not yet in the state file are written first. Requests
// that are under way are answered Disconnected: drain the listener before. It may be called twice.
func (s *Store) Close() error {
	var err error
	s.closed.Do(func() {
		s.end(ErrClosed)
		s.cancel()
		if s.mux != nil {
			err = s.mux.Close()
		}
		s.peers.close()
		s.changing.Lock()
		if n := s.node.Load(); n != nil {
			err = errors.Join(err, n.close())
		}
		s.changing.Unlock()
		s.wg.Wait()
		if s.keys != nil {
			s.keys.Close()
		}
		s.lock.Close()
	})
	return err
}

// Done is closed when the store can't go on: its disk failed, it has left or was removed from its cluster, or it was
// closed. Err says which. A store that ended by itself still has to be closed.
func (s *Store) Done() <-chan struct{} { return s.ended }

// Err is why the store ended, nil while it has not.
func (s *Store) Err() error { return s.why() }

// Len is the number of sessions that this node has.
func (s *Store) Len() int { return s.node.Load().state.Len() }

// watchDisk has the node give up when its disk has failed.
func (s *Store) watchDisk() {
	<-s.ended
	if n := s.node.Load(); n != nil && errors.Is(s.Err(), ErrDisk) {
		n.abort()
	}
}

// Join has this node, which stands alone, join the cluster that the nodes at the peer addresses belong to. It gives up
// its own state: a node that has sessions refuses, unless discard is true. It returns when the node is a member, or
// with ctx's error when that takes too long; the node goes on trying then.
//
// A node that others have joined, or are about to, refuses; and while one joins, nobody can join it.
func (s *Store) Join(ctx context.Context, addresses []string, discard bool) error {
	return s.membership.joinOthers(ctx, addresses, discard)
}

// Leave has this node leave its cluster: leadership is handed over, the node removed, and the Store ends with ErrLeft.
func (s *Store) Leave(ctx context.Context) error {
	return s.membership.leave(ctx)
}

// RemoveNode takes another node, which is gone, out of the cluster. A node that is up stops serving when it finds out.
func (s *Store) RemoveNode(ctx context.Context, name string) error {
	return s.membership.removeNode(ctx, name)
}

// Grant lets the node with a name join the cluster, once, within an hour. It has to be granted only if Config.Security is
// set and OpenJoins is not, and if no member has the name and no member's Cluster lists it.
func (s *Store) Grant(name string) error {
	if !serverid.ValidName(name) {
		return refuse("%q is not a node's name", name)
	}
	if err := s.belongs(); err != nil {
		return err
	}
	return s.membership.admission.grants.give(name, time.Now())
}

// Transfer hands leadership to the named voter, or to any when name is empty.
func (s *Store) Transfer(ctx context.Context, name string) error {
	return s.membership.transfer(ctx, name)
}

// Stepdown hands leadership over if this node leads others, before it stops. It returns when another node leads, or
// with ctx's error.
func (s *Store) Stepdown(ctx context.Context) error {
	return s.membership.stepdown(ctx)
}
