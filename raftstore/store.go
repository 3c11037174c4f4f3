package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/internal/ratelog"
	"github.com/distcache/distcache/raftstore/internal/files"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/wire"
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

// A core is what all parts of a Store share: the settings, the node as it is now, who that is, and why the store ended.
type core struct {
	cfg    Config
	log    *slog.Logger
	opened time.Time
	mux    *peernet.Mux // nil without a peer port
	peers  *peers
	claims

	node   atomic.Pointer[node]
	frozen atomic.Bool // while the node gives up its state, it carries out nothing
	// lead carries out what a leader is asked for.
	lead func(context.Context, wire.Op, memberRequest) (memberAnswer, error)

	mu     sync.Mutex // never held while a disk is waited for
	id     identity
	reason string // why the node has not been taken into a cluster yet
	kind   string // of the reason; it stays the same while the reason's details change
	err    error  // why the store has ended
	ended  chan struct{}
	saving sync.Mutex // held while node.json is written

	ctx    context.Context // ends when the store does
	cancel context.CancelFunc
	wg     sync.WaitGroup
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
		peers:  newPeers(cfg.Network),
		ended:  make(chan struct{}),
	}
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
		s.mux, err = peernet.Listen(s.cfg.Network, s.cfg.Peer, s.log, func(nc net.Conn, to serverid.ID) {
			select {
			case <-ready:
				if s.node.Load() != nil {
					s.peerPort.servePeer(nc, to)
					return
				}
			case <-s.ended:
			}
			nc.Close()
		})
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
	if s.id.Discard || s.id.fresh() {
		// A leader may have taken a fresh node in without the node's knowing. Whatever the node does now, it does as another
		// server.
		if err := s.newLife(s.id.Join); err != nil {
			return err
		}
	}
	if err := s.membership.startNode(); err != nil {
		return err
	}
	s.wg.Go(s.membership.watchMembership)
	s.wg.Go(s.watchDisk)
	return nil
}

// departed is the error for a node that is no longer in its cluster.
func departed(why error, dir string) error {
	return fmt.Errorf("%w; to join again, empty %s and start it with the address of a member to join", why, dir)
}

// startNode opens a node on the files in the data directory, and starts what a new one needs to become a member.
func (s *membership) startNode() error {
	id := s.identity()
	var layer *peernet.Layer
	if s.mux != nil {
		layer = s.mux.Layer(peernet.Peer{ID: id.ID(), Address: s.cfg.Advertise})
	}
	ask := questions{term: s.peers.termOf, index: s.peers.readIndex, clock: s.peers.clock, connect: s.peers.connected, drop: s.peers.drop, forgot: s.admission.memberForgot}
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
		// It was started differently before, and may be one of its cluster's voters then: not as this server, from now on.
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

// address is this node's as its cluster knows it.
func (s *core) address() string {
	if s.mux == nil {
		return localAddress
	}
	return s.cfg.Advertise
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
		s.lock.Close()
	})
	return err
}

// end notes why the store can't go on, once, and wakes whoever waits for it.
func (s *core) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = why
	close(s.ended)
}

// Done is closed when the store can't go on: its disk failed, it has left or was removed from its cluster, or it was
// closed. Err says which. A store that ended by itself still has to be closed.
func (s *Store) Done() <-chan struct{} { return s.ended }

// Err is why the store ended, nil while it has not.
func (s *Store) Err() error { return s.why() }

func (s *core) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Len is the number of sessions that this node has.
func (s *Store) Len() int { return s.node.Load().state.Len() }

// identity is what node.json says.
func (s *core) identity() identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// rememberOf is remember of what a node has come to, unless this store has become another server meanwhile.
func (s *core) rememberOf(n *node, change func(*identity)) error {
	return s.remember(func(id *identity) {
		if id.ID() == n.id {
			change(id)
		}
	})
}

// remember changes node.json. An error is ErrDisk: what the file says then is not known.
func (s *core) remember(change func(*identity)) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	id := s.identity()
	change(&id)
	if err := id.save(s.cfg.Dir); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	s.mu.Lock()
	s.id = id
	s.mu.Unlock()
	return nil
}

// newLife empties the data directory and makes the node another server, with an ID of its own, which is to join through
// these addresses, if there are any. No node may run on the directory. An error is ErrDisk.
func (s *core) newLife(join []string) error {
	err := s.remember(func(id *identity) {
		*id = newIdentity(id.Name)
		id.Join, id.Discard = join, true
	})
	if err != nil {
		return err
	}
	for _, name := range append(raftlog.Names(), stateFile, snapshotDir) {
		if err := os.RemoveAll(filepath.Join(s.cfg.Dir, name)); err != nil {
			return fmt.Errorf("%w: discard the node's state: %w", ErrDisk, err)
		}
	}
	if err := files.SyncDir(s.cfg.Dir); err != nil {
		return fmt.Errorf("%w: discard the node's state: %w", ErrDisk, err)
	}
	return s.remember(func(id *identity) { id.Discard = false })
}

// watchDisk has the node give up when its disk has failed.
func (s *Store) watchDisk() {
	<-s.ended
	if n := s.node.Load(); n != nil && errors.Is(s.Err(), ErrDisk) {
		n.giveUp()
	}
}

// Join has this node, which stands alone, join the cluster that the nodes at the peer addresses belong to. It gives up
// its own state: a node that has sessions refuses, unless discard is true. It returns when the node is a member, or with
// ctx's error when that takes too long; the node goes on trying then.
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

// Transfer hands leadership to the named voter, or to any when name is empty.
func (s *Store) Transfer(ctx context.Context, name string) error {
	return s.membership.transfer(ctx, name)
}

// Stepdown hands leadership over if this node leads others, before it stops. It returns when another node leads, or with
// ctx's error.
func (s *Store) Stepdown(ctx context.Context) error {
	return s.membership.stepdown(ctx)
}
