package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/internal/ratelog"
	"github.com/distcache/distcache/raftstore/internal/files"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/seal"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// A core is what all parts of a Store share: the settings, the node as it is now, who that is, and why the store ended.
type core struct {
	cfg    Config
	log    *slog.Logger
	opened time.Time
	mux    *peernet.Mux // nil without a peer port
	peers  *peers
	keys   *seal.Keys // nil: session data are not sealed

	unopened *ratelog.Logger // of sessions that can't be opened
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
	s.peers.reset()
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

func (s *core) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// address is this node's as its cluster knows it.
func (s *core) address() string {
	if s.mux == nil {
		return localAddress
	}
	return s.cfg.Advertise
}

func (s *core) clusterAddresses() []string {
	var list []string
	for _, c := range s.cfg.Cluster {
		list = append(list, c.Address)
	}
	return list
}

// goesOn waits for a tick; false when the node, or the store, has ended before.
func (s *core) goesOn(n *node, tick <-chan time.Time) bool {
	select {
	case <-n.stop:
	case <-s.ended:
	case <-tick:
		return true
	}
	return false
}

// retry calls f with the present node until it returns something else than errRetry, or ctx is done: then it is
// Disconnected.
func (s *core) retry(ctx context.Context, f func(*node) error) error {
	for pause := retryPause; ; pause = min(2*pause, retryPauseMost) {
		n := s.node.Load()
		news := n.raft.LeaderChanged()
		err := errRetry
		if !s.frozen.Load() {
			err = f(n)
		}
		if !errors.Is(err, errRetry) {
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return wire.Disconnected
			}
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return wire.Disconnected
		case <-s.ended:
			t.Stop()
			return wire.Disconnected
		case <-news:
			t.Stop()
			pause = retryPause / 2
		case <-t.C:
		}
	}
}

// greet asks a node, or whichever is at an address, who it is.
func (s *core) greet(ctx context.Context, to peernet.Peer) (h hello, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.timing.hello)
	defer cancel()
	err = s.peers.call(ctx, to, opHello, struct{}{}, &h)
	if err == nil && (!h.ID.Valid() || to.ID != "" && to.ID != h.ID) {
		err = fmt.Errorf("node at %s: it says that it is %q", to.Address, h.ID)
	}
	if name := s.peers.nameAt(to); err == nil && name != "" && name != h.name() {
		err = fmt.Errorf("node at %s: it says that it is %s, and has the certificate of %s", to.Address, h.name(), name)
	}
	return h, err
}

// greetMember asks a member who it is.
func (s *core) greetMember(ctx context.Context, n *node, m raftnode.Member) (h hello, ok bool) {
	h, err := s.greet(ctx, n.raft.Peer(m))
	return h, err == nil
}

// askThrough has the leader of a cluster do something, found through one of its members: the one with an ID, or
// whichever is at an address.
func (s *core) askThrough(ctx context.Context, to peernet.Peer, op wire.Op, req memberRequest) (out memberAnswer, err error) {
	h, err := s.greet(ctx, to)
	if to.ID == "" && (errors.Is(err, client.ErrLost) || errors.Is(err, client.ErrNotSent) || errors.Is(err, client.ErrTimeout)) { // it is no node's peer port, perhaps
		return out, fmt.Errorf("%w: it may not be a node's peer port, or only one of the two nodes has certificates", err)
	}
	if err != nil {
		return out, err
	}
	if h.ID == s.identity().ID() {
		return out, refuse("%s is this node's own address", to.Address)
	}
	if h.Phase == phaseNew {
		return out, fmt.Errorf("%s: %w", to.Address, errNotMember)
	}
	if h.Leader.Address == "" {
		return out, fmt.Errorf("%s: %w", to.Address, ErrNoLeader)
	}
	err = s.peers.call(ctx, h.Leader, op, req, &out)
	if errors.Is(err, errRetry) {
		err = fmt.Errorf("%s: %w", to.Address, ErrNoLeader)
	}
	return out, err
}

// askMembers has the leader do something, found through any other member. Each is looked for where the configuration
// has it, or where it was seen, and answers nobody who means another.
func (s *core) askMembers(ctx context.Context, op wire.Op, req memberRequest) (out memberAnswer, err error) {
	err = ErrNoLeader
	n := s.node.Load()
	for _, m := range n.raft.Members() {
		if m.ID == n.id {
			continue
		}
		out, err = s.askThrough(ctx, n.raft.Peer(m), op, req)
		if err == nil || errors.Is(err, ErrRefused) {
			return out, err
		}
	}
	return out, err
}

// askLeader has the leader do something, whoever that is, trying until it answers, there has been none for long, or ctx
// is done.
func (s *core) askLeader(ctx context.Context, op wire.Op, req memberRequest) (out memberAnswer, err error) {
	seen := time.Now() // when there last was a leader
	for {
		n := s.node.Load()
		news := n.raft.LeaderChanged()
		req.By = n.id
		if n.leads() {
			out, err = s.lead(ctx, op, req)
		} else if leader, ok := n.raft.Leader(); ok {
			err = s.peers.call(ctx, leader, op, req, &out)
		} else {
			err = errRetry
		}
		if err == nil || errors.Is(err, ErrRefused) {
			return out, err
		}
		if _, ok := n.raft.Leader(); ok || n.raft.Role() == raftnode.Leader {
			seen = time.Now()
		} else if time.Since(seen) > leaderPatience*s.cfg.Heartbeat {
			return out, ErrNoLeader
		}
		if pause(ctx, s.ended, news) {
			if errors.Is(err, errRetry) {
				err = ErrNoLeader
			}
			return out, err
		}
	}
}

// pause waits a moment, or for news; true when there is no more time.
func pause(ctx context.Context, ended <-chan struct{}, news <-chan struct{}) bool {
	t := time.NewTimer(10 * retryPause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return true
	case <-ended:
		return true
	case <-news:
	case <-t.C:
	}
	return false
}

// belongs refuses what only a member can ask for.
func (s *core) belongs() error {
	if len(s.node.Load().raft.Members()) == 0 {
		return refuse("this node is not a member of a cluster yet")
	}
	return nil
}

// setReason notes why this node has not been taken into a cluster, and logs it when it is another reason than before.
func (s *core) setReason(reason string) { s.setReasonOfKind(reason, reason) }

// setReasonOfKind is setReason of a reason whose details may change at any time: it is logged when its kind is another
// than before, unless the kind is empty.
func (s *core) setReasonOfKind(kind, reason string) {
	reason = strings.ReplaceAll(reason, "\n", "; ") // of several addresses, one each
	s.mu.Lock()
	changed := s.kind != kind
	s.kind, s.reason = kind, reason
	s.mu.Unlock()
	if changed && kind != "" {
		s.log.Warn("not a member of a cluster yet", "reason", reason)
	}
}

// unreached takes note that a node can't be reached at an address, where it may have been seen.
func (s *core) unreached(p peernet.Peer) {
	if n := s.node.Load(); n != nil && n.layer != nil {
		n.layer.Unseen(p)
	}
}

var errNotMember = errors.New("the node there is not a member of a cluster")
