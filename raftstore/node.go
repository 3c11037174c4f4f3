package raftstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/parallel"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/snapstore"
	"github.com/distcache/distcache/raftstore/internal/state"
	"github.com/distcache/distcache/wire"
)

// Raft's settings that are not the user's. A burst of one entry more than maxAppendEntries would wait for commitTimeout;
// the batcher never has so many under way. That timeout is also how often an idle leader tells the others what is
// committed: three idle nodes use a seventh of a core with 5ms, a sixteenth with 25ms.
const (
	maxAppendEntries = 512
	commitTimeout    = 25 * time.Millisecond
	logCacheEntries  = 128
	transportPool    = 3
	transportTimeout = 10 * time.Second
	closeBound       = 10 * time.Second
)

// localAddress is what the configuration has for the address of a node without a peer port.
const localAddress = "local"

// A node is one life of a replica: Raft, its log, the state machine and the batcher over one set of files. A Store has
// one, and gets a new one when it gives up its state to join a cluster.
type node struct {
	cfg       Config
	id        raft.ServerID
	log       *slog.Logger
	raft      *raft.Raft
	logs      *watchedLog
	late      *parallel.Log // over logs
	members   *memberLog    // over late
	settled   *settledLog   // over a cache over members
	files     *summedLog    // of the log
	state     *state.Machine
	batcher   *batcher
	clock     logClock
	clocks    voterClocks
	reads     *rounds        // of a leader: does it still lead?
	indexes   *rounds        // of a follower: how far must it have come to answer?
	layer     *peernet.Layer // nil without a peer port
	transport transport

	// joined is set when this node is a voter by a configuration that it has applied, see hasJoined.
	joined atomic.Bool
	// known is the leader as it was found last, see leader.
	known atomic.Pointer[knownLeader]
	// follows is what this node knows of its leader's health.
	follows follows
	// serving is the last term in which this node has led and applied an entry of its own, see leads.
	serving atomic.Uint64
	// changed is closed and replaced when the leader, or what this node knows of it, changes.
	mu      sync.Mutex
	changed chan struct{}

	askNow      chan struct{} // the members' clocks, see watchClocks
	agreed      chan struct{} // the voters' clocks have
	wrongClocks []string      // whose, that was logged; watchClocks' own

	observer  *raft.Observer
	observed  chan raft.Observation
	trimAsked chan chan<- error
	stop      chan struct{}
	shut      raft.Future // of Raft, once it is being stopped
	halting   sync.Once
	silencing sync.Once
	closing   sync.Once
	wg        sync.WaitGroup
}

// openNode opens the files in cfg.Dir and starts Raft on them. layer is nil for a node without a peer port. fail is
// called when the node can't go on.
func openNode(cfg Config, id identity, layer *peernet.Layer, ask questions, fail func(error)) (_ *node, err error) {
	n := &node{cfg: cfg, id: id.ID(), log: cfg.Logger, layer: layer, changed: make(chan struct{}), stop: make(chan struct{}),
		trimAsked: make(chan chan<- error), askNow: make(chan struct{}, 1), agreed: make(chan struct{}, 1)}
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()

	if err := checkLog(cfg, id); err != nil {
		return nil, cfg.adviseForeign(err)
	}
	there, err := exists(filepath.Join(cfg.Dir, stateFile))
	if err != nil {
		return nil, fmt.Errorf("state file: %w", err)
	}
	snapshots, err := snapstore.Open(filepath.Join(cfg.Dir, snapshotDir), func() (int64, io.ReadCloser, error) { return n.state.Stream() })
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	snapshots.Check(func(file string) error { return n.state.Check(file) })
	if err := n.openFiles(snapshots, fail); err != nil {
		return nil, err
	}
	undo = append(undo, func() { n.closeState(!there) }, func() { n.files.Close() })

	if err := recoverState(n.state, n.files, snapshots); err != nil {
		return nil, err
	}
	if err := checkFiles(n.state, n.files, cfg.RaftLog, snapshots, id); err != nil {
		return nil, cfg.adviseForeign(err)
	}
	if err := claimLog(n.files, cfg.RaftLog, id); err != nil {
		return nil, cfg.adviseForeign(err)
	}

	n.logs = watchLog(n.files, cfg, fail)
	undo = append(undo, n.logs.close)
	n.late = parallel.New(n.logs, n.mayBeLate)
	undo = append(undo, func() { n.late.Close() })
	n.members = &memberLog{Log: n.late, self: n.id}
	cached, err := raft.NewLogCache(logCacheEntries, n.members)
	if err != nil {
		return nil, err
	}
	n.settled = &settledLog{LogCache: cached}
	n.transport = n.newTransport(ask)
	var machine raft.BatchingFSM = memberFSM{fsm{n.state}, n.members, n.settled}
	if cfg.hooks.machine != nil {
		machine = cfg.hooks.machine(machine, n.state)
	}
	err = n.startRaft(machine, n.settled, snapshots)
	if err != nil {
		if c, ok := n.transport.(io.Closer); ok {
			c.Close()
		}
		return nil, fmt.Errorf("start raft: %w", err)
	}
	n.members.lone.Store(n.members.onlyVoter(n.servers())) // which nobody changes yet: other nodes' Raft is let in later
	n.logs.started.Store(true)
	if t, ok := n.transport.(*peernet.Transport); ok {
		t.Start()
	}

	n.batcher = newBatcher(n.raft, cfg, n.stamp, fail)
	n.reads = newRounds(func(ctx context.Context) (readIndex, error) {
		return readIndex{}, n.stillLeads(ctx, n.askTerm(ask.term))
	})
	n.indexes = newRounds(func(ctx context.Context) (readIndex, error) { return n.askIndex(ctx, ask.index) })
	n.observed = make(chan raft.Observation, 16)
	n.observer = raft.NewObserver(n.observed, false, func(o *raft.Observation) bool {
		cfg.counters.observed(o.Data)
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	n.raft.RegisterObserver(n.observer)
	if cfg.hooks.started != nil {
		cfg.hooks.started(n)
	}
	n.wg.Go(n.lead)
	n.wg.Go(func() { n.watchClocks(ask.clock) })
	n.wg.Go(n.observe)
	n.wg.Go(func() { n.trim(snapshots.Newest()) })
	return n, nil
}

// openFiles opens the state file and the log at the same time: both are checked to the last byte, which takes a while.
func (n *node) openFiles(snapshots *snapstore.Store, fail func(error)) error {
	opened := make(chan error, 1)
	go func() {
		var err error
		n.state, err = state.Open(filepath.Join(n.cfg.Dir, stateFile), state.Options{
			FlushInterval: n.cfg.timing.flush,
			Failed:        func(err error) { fail(fmt.Errorf("%w: %w", ErrDisk, err)) },
			Flushed:       n.cfg.counters.flushed,
			Dropped:       n.cfg.counters.dropped,
		})
		opened <- err
	}()
	files, err := n.cfg.hooks.openLog(n.cfg.Dir, n.cfg.RaftLog, n.cfg.Logger, snapshots.Newest)
	switch stateErr := <-opened; {
	case stateErr != nil && err == nil:
		return errors.Join(stateErr, files.Close())
	case stateErr != nil:
		return stateErr
	case err != nil:
		return errors.Join(err, n.state.Close())
	}
	n.files = files
	return nil
}

// startRaft starts Raft, which panics when it can't read its log, or write its term.
func (n *node) startRaft(m raft.FSM, log raft.LogStore, snapshots raft.SnapshotStore) (err error) {
	defer func() {
		p := recover()
		if cause := n.logs.why(); cause != nil {
			err = cause
		} else if p != nil {
			panic(p)
		}
	}()
	n.raft, err = raft.NewRaft(raftConfig(n.cfg, n.id), m, log, votes{n.logs, n.late}, snapshots, n.transport)
	return err
}

// mayBeLate tells whether entries may come to this node's disk later than to those of others: see package parallel.
func (n *node) mayBeLate() bool {
	if !n.logs.started.Load() || n.raft.State() != raft.Leader {
		return false
	}
	voters := 0
	for _, s := range n.servers() {
		if s.Suffrage == raft.Voter {
			voters++
		}
	}
	return voters >= 2
}

// A transport is Raft's, by which this node stands for election at once.
type transport interface {
	raft.Transport
	Campaign() error
}

func (n *node) newTransport(ask questions) transport {
	if n.layer == nil {
		return peernet.NewLone(n.id)
	}
	return peernet.NewTransport(n.id, raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  n.layer,
		MaxPool: transportPool,
		Timeout: n.cfg.timing.transport,
		Logger:  raftLogger(n.cfg.Logger),
	}), peernet.Hooks{
		Admit:   func(rpc raft.RPC) bool { return n.admits(rpc, ask.refused) },
		Durable: n.late.Wait,
		Sends:   n.sends,
		Forgot:  ask.forgot,
	})
}

// sends tells whether this node leads in a term and has a member at an address.
func (n *node) sends(id raft.ServerID, address raft.ServerAddress, term uint64) bool {
	if !n.logs.started.Load() || n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
		return false
	}
	m, ok := n.member(id)
	return ok && m.Address == address
}

func raftConfig(cfg Config, id raft.ServerID) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = id
	c.HeartbeatTimeout = cfg.Heartbeat
	c.ElectionTimeout = cfg.Heartbeat
	c.LeaderLeaseTimeout = cfg.Lease
	c.CommitTimeout = cmp.Or(cfg.timing.commit, commitTimeout)
	c.MaxAppendEntries = maxAppendEntries
	c.NoSnapshotRestoreOnStart = true
	c.ShutdownOnRemove = false    // the Store finds out, and says why
	c.SnapshotThreshold = 1 << 62 // compact decides
	c.Logger = raftLogger(cfg.Logger)
	c.NoLegacyTelemetry = true
	return c
}

// recoverState finishes what a crash interrupted between receiving a snapshot and noting that it was installed.
func recoverState(m *state.Machine, log logFiles, snapshots *snapstore.Store) error {
	applied, _ := m.Applied()
	if file := snapshots.Pending(); file != "" && snapshots.Newest() > applied {
		if err := m.Install(file); err != nil {
			return fmt.Errorf("received snapshot: %w", err)
		}
		applied, _ = m.Applied()
	}
	if snapshots.Newest() > applied {
		return nil // checkFiles says what is wrong
	}
	if index, term, ok := snapshots.Unfinished(); ok {
		if _, err := settle(log, index, term); err != nil {
			return fmt.Errorf("raft log: %w", err)
		}
	}
	if err := snapshots.Installed(applied); err != nil {
		return fmt.Errorf("received snapshot: %w", err)
	}
	return nil
}

// checkFiles refuses to run on files that don't belong together: a member must have its votes, and log and state must
// meet.
func checkFiles(m *state.Machine, log logFiles, kind LogKind, snapshots *snapstore.Store, id identity) error {
	snapshot := snapshots.Newest()
	has, err := raft.HasExistingState(log, log, snapshots)
	if err != nil {
		return fmt.Errorf("raft log: %w", err)
	}
	term, err := number(log, "CurrentTerm")
	if err != nil {
		return fmt.Errorf("raft log: %w", err)
	}
	if id.Phase == phaseMember && (!has || term == 0) {
		return votesLost(kind)
	}
	first, err := log.FirstIndex()
	if err != nil {
		return fmt.Errorf("raft log: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return fmt.Errorf("raft log: %w", err)
	}
	applied, _ := m.Applied()
	if first > applied+1 {
		return fmt.Errorf("%w: %s ends at log entry %d, and %s begins at %d", ErrForeign, stateFile, applied, kind.file(), first)
	}
	if snapshot > applied {
		return fmt.Errorf("%w: %s ends at log entry %d, before the newest snapshot, %d", ErrForeign, stateFile, applied, snapshot)
	}
	if applied > max(last, snapshots.Ahead()) {
		return fmt.Errorf("%w: %s holds log entry %d, and %s ends at %d", ErrForeign, stateFile, applied, kind.file(), last)
	}
	return nil
}

// close stops Raft and closes the files. It may be called twice. An error is that of the files.
func (n *node) close() error {
	var err error
	n.closing.Do(func() {
		n.halt()
		err = bounded(closeBound, n.shut.Error)
		if t, ok := n.transport.(*peernet.Transport); ok {
			t.CloseStreams()
		}
		n.silence()
		n.wg.Wait()
		err = errors.Join(err, n.late.Close())
		n.logs.close()
		err = errors.Join(err, n.state.Close(), n.files.Close())
	})
	return err
}

// bounded runs f, and gives up waiting for it after d.
func bounded(d time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(d):
		return fmt.Errorf("raft has not stopped after %s", d)
	}
}

// lead follows this node's leadership: a new leader proposes an entry of its own term and serves once it is applied;
// then it sees to it that sessions expire, and those beyond the limit go, when nothing else happens. While another leads
// it watches the log's time, which it will have to go on with.
func (n *node) lead() {
	var due <-chan time.Time
	var since time.Time
	leader := false
	takeOver := func() {
		if n.knowsTime(since) {
			n.takeOver()
		}
	}
	t := time.NewTicker(dropTick)
	defer t.Stop()
	for {
		select {
		case <-n.stop:
			return
		case leader = <-n.raft.LeaderCh():
			n.serving.Store(0)
			due = nil
			if leader {
				since = time.Now()
				takeOver()
			}
			n.tell()
		case <-n.agreed:
			if leader && !n.leads() {
				takeOver()
			}
		case <-due:
			due = nil
			n.dropDue()
		case <-t.C:
			if !leader {
				stamp, _ := n.state.Clock()
				n.clock.follow(stamp)
				continue
			}
			if wait := n.dropDue(); wait < dropTick {
				due = time.After(wait)
			}
			if !n.leads() {
				takeOver() // the first attempt failed
			}
		}
	}
}

// dropTick is how often a leader looks whether sessions are to be dropped, or will be before it looks again.
const dropTick = 50 * time.Millisecond

func (n *node) takeOver() {
	term := n.raft.CurrentTerm()
	n.batcher.propose(waiterFunc(func(_ wire.Status, err error) {
		if err == nil && n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term {
			stamp, _ := n.state.Clock()
			n.clock.reach(stamp)
			n.serve(term)
			n.tell()
		}
	}))
}

// serve notes the term in which this node leads, unless it has led in a later one since that was found.
func (n *node) serve(term uint64) {
	for {
		now := n.serving.Load()
		if now >= term || n.serving.CompareAndSwap(now, term) {
			return
		}
	}
}

// stamp is the next entry's.
func (n *node) stamp() uint64 {
	last, _ := n.state.Clock()
	stamp := n.clock.next(last)
	if now := n.clock.read(); stamp > now && stamp-now > uint64(clockJump/time.Millisecond) && n.leads() {
		n.log.Warn("the voters' clocks have gone forward, and the log's time with them: sessions expire early by as much",
			"by", time.Duration(stamp-now)*time.Millisecond)
	}
	return stamp
}

// dropDue proposes an entry when there are sessions that the next one will drop, or the log's time is to go forward.
// Otherwise it gives the time until there is one, if that is less than dropTick.
func (n *node) dropDue() (wait time.Duration) {
	stamp, next := n.state.Clock()
	n.clock.reach(stamp)
	now := n.clock.read()
	tooMany := n.cfg.Sessions > 0 && uint64(n.state.Len()) > n.cfg.Sessions
	switch {
	case tooMany || next != 0 && next <= now || n.clock.behind() > clockSlack:
		n.batcher.propose(nil)
	case next != 0 && next-now < uint64(dropTick/time.Millisecond):
		return time.Duration(next-now) * time.Millisecond
	}
	return dropTick
}

// leads tells whether this node leads and serves.
func (n *node) leads() bool {
	term := n.serving.Load()
	return term != 0 && n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term
}

func (n *node) observe() {
	for {
		select {
		case <-n.stop:
			return
		case <-n.observed:
			n.tell()
		}
	}
}

// news returns a channel that is closed at the next change of leadership.
func (n *node) news() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

func (n *node) tell() {
	n.mu.Lock()
	close(n.changed)
	n.changed = make(chan struct{})
	n.mu.Unlock()
}

// leader is the leader, as far as this node knows; false when that is nobody else, or nobody knows where. Each request that
// goes to the leader asks, so that where it is found counts for some milliseconds: Raft copies its configuration for that.
func (n *node) leader() (peernet.Peer, bool) {
	_, id := n.raft.LeaderWithID()
	if id == "" || id == n.id {
		return peernet.Peer{}, false
	}
	now := time.Now()
	if k := n.known.Load(); k != nil && k.peer.ID == string(id) && now.Sub(k.when) < knownLife {
		return k.peer, true
	}
	m, ok := n.member(id)
	p := n.peer(raft.Server{ID: id, Address: m.Address})
	if ok = ok || p.Address != ""; ok {
		n.known.Store(&knownLeader{p, now})
	}
	return p, ok
}

// A knownLeader is where the leader was found, and when.
type knownLeader struct {
	peer peernet.Peer
	when time.Time
}

// knownLife is far less than anything that depends on the leader's address takes.
const knownLife = 10 * time.Millisecond

// peer is how another member is reached: where it was seen of late, or where the configuration has it.
func (n *node) peer(s raft.Server) peernet.Peer {
	p := peernet.Peer{ID: string(s.ID), Address: string(s.Address)}
	if n.layer != nil {
		if seen, ok := n.layer.LastSeen(p.ID); ok {
			p.Address = seen
		}
	}
	return p
}

// servers are the cluster's members as this node's log has them.
func (n *node) servers() []raft.Server {
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

// member finds a server by ID.
func (n *node) member(id raft.ServerID) (raft.Server, bool) {
	for _, s := range n.servers() {
		if s.ID == id {
			return s, true
		}
	}
	return raft.Server{}, false
}

// named finds a server by the node's name.
func (n *node) named(name string) (raft.Server, bool) {
	for _, s := range n.servers() {
		if nameOf(s.ID) == name {
			return s, true
		}
	}
	return raft.Server{}, false
}

// hasJoined tells whether this node has become a voter of its cluster, by a configuration that it has applied: so it has
// what the leader had committed when this node asked to be taken in.
func (n *node) hasJoined() bool {
	if n.joined.Load() {
		return true
	}
	if applied, _ := n.state.Applied(); !n.voter(n.id) || applied < n.members.configured.Load() {
		return false
	}
	n.joined.Store(true)
	return true
}

type waiterFunc func(wire.Status, error)

func (f waiterFunc) finish(s wire.Status, err error) { f(s, err) }
