package raftnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/internal/ratelog"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/raftstore/internal/snapstore"
)

// Raft settings that users can't change. In a burst of one entry more than MaxEntries, the last entry would wait for
// commitTimeout; the store never has so many entries under way. An idle leader also sends its commit index once in each
// commitTimeout: three idle nodes use a seventh of a core with 5ms, a sixteenth with 25ms.
const (
	// MaxEntries is the most entries in one message. The store has at most half as many under way.
	MaxEntries       = 512
	commitTimeout    = 25 * time.Millisecond
	transportPool    = 3
	transportTimeout = 10 * time.Second
	closeBound       = 10 * time.Second
)

// ErrStopped is returned by calls that are waiting when the node is stopped.
var ErrStopped = errors.New("raft was stopped")

// Options are what a Node needs. All but Layer, the functions and Timing are required.
type Options struct {
	ID        serverid.ID
	Log       *raftlog.Log
	Machine   Machine
	Snapshots *snapstore.Store
	Layer     *peernet.Layer // nil without a peer port
	Logger    *slog.Logger

	Heartbeat time.Duration // a follower without heartbeats for so long starts an election
	Lease     time.Duration // a leader without answers from a majority for so long steps down
	LogBytes  int64         // a snapshot is taken for each LogBytes of log; as much is kept, or the state's size
	Timing    Timing

	MaxSnapshot func() int64 // the largest snapshot that is received now; with Layer

	// Connect opens a connection to a node, or finds an open one. ended is closed when the connection ends. If Connect
	// is nil, a leader whose process is gone is replaced after Heartbeat.
	Connect func(context.Context, peernet.Peer) (ended <-chan struct{}, err error)
	// Drop closes the connection to a former leader.
	Drop func(peernet.Peer)
	// Forgot is called when a member's log ends before an entry that the member has acknowledged. It must not block.
	Forgot func(id serverid.ID, acked, last uint64)

	Fail    func(error)       // called when the node can't go on
	Stood   func()            // called when this node becomes a candidate
	Led     func(serverid.ID) // called when another node, or this one, becomes the leader
	Elected func(term uint64) // called when this node becomes the leader, before anything else happens
}

// Timing are times that users can't set. A simulation sets shorter ones. Zero values mean the defaults.
type Timing struct {
	Commit    time.Duration // commitTimeout
	Transport time.Duration // transportTimeout
	Stagger   time.Duration // campaignStagger
	Look      time.Duration // lookPatience
	Redial    time.Duration // leaderRedial
	PreVote   time.Duration // preVotePatience
	Trim      time.Duration // trimTick
	Change    time.Duration // changeTimeout
}

func (t Timing) withDefaults() Timing {
	return Timing{
		Commit:    cmp.Or(t.Commit, commitTimeout),
		Transport: cmp.Or(t.Transport, transportTimeout),
		Stagger:   cmp.Or(t.Stagger, campaignStagger),
		Look:      cmp.Or(t.Look, lookPatience),
		Redial:    cmp.Or(t.Redial, leaderRedial),
		PreVote:   cmp.Or(t.PreVote, preVotePatience),
		Trim:      cmp.Or(t.Trim, trimTick),
		Change:    cmp.Or(t.Change, changeTimeout),
	}
}

// A Node is a running Raft instance. Any number of goroutines may use it.
type Node struct {
	opts      Options
	id        serverid.ID
	log       *slog.Logger
	raft      *raft.Raft
	logs      *raftlog.Log
	transport transport
	started   atomic.Bool // n.raft is set

	health   leaderHealth
	leaderAt atomic.Pointer[knownLeader] // see Leader
	observations
	stuck stuckTransfer
	unfit *ratelog.Logger // of requests that were refused by fits

	trimAsked chan chan<- error // see TrimNow
	stop      chan struct{}
	shut      raft.Future // of Raft's shutdown, set by Stop
	stopping  sync.Once
	wg        sync.WaitGroup
}

// A transport is Raft's transport, which can also make this node a candidate at once.
type transport interface {
	raft.Transport
	Campaign() error
}

// Start starts Raft on a log, a state machine and snapshots that belong together. The caller closes these after Close.
func Start(opts Options) (*Node, error) {
	opts.Timing = opts.Timing.withDefaults()
	n := &Node{opts: opts, id: opts.ID, log: opts.Logger, logs: opts.Log,
		trimAsked: make(chan chan<- error), stop: make(chan struct{}), unfit: ratelog.New(opts.Logger)}
	n.observations.changed = make(chan struct{})
	n.transport = n.newTransport()
	if err := n.startRaft(); err != nil {
		if c, ok := n.transport.(io.Closer); ok {
			c.Close()
		}
		return nil, fmt.Errorf("start raft: %w", err)
	}
	n.logs.Follow(n.servers()) // before t.Start below lets other nodes change the configuration
	n.started.Store(true)
	n.logs.Started(n.mayBeUnsynced)
	n.observe()
	if t, ok := n.transport.(*peernet.Transport); ok {
		t.Start()
	}
	n.wg.Go(func() { n.trim(opts.Snapshots.Newest()) })
	if opts.Layer != nil && opts.Connect != nil {
		n.wg.Go(n.watchLeader)
	}
	return n, nil
}

// startRaft starts Raft. It turns Raft's panic, when Raft can't read its log or write its term, into an error.
func (n *Node) startRaft() (err error) {
	defer func() {
		p := recover()
		if cause := n.logs.Broken(); cause != nil {
			err = cause
		} else if p != nil {
			panic(p)
		}
	}()
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.id)
	c.HeartbeatTimeout = n.opts.Heartbeat
	c.ElectionTimeout = n.opts.Heartbeat
	c.LeaderLeaseTimeout = n.opts.Lease
	c.CommitTimeout = n.opts.Timing.Commit
	c.MaxAppendEntries = MaxEntries
	c.NoSnapshotRestoreOnStart = true
	c.ShutdownOnRemove = false    // the Store notices, and says why it stops
	c.SnapshotThreshold = 1 << 62 // trim decides
	c.Logger = Logger(n.log)
	c.NoLegacyTelemetry = true
	n.raft, err = raft.NewRaft(c, &fsm{n.opts.Machine, n.logs}, n.logs, n.logs, n.opts.Snapshots, n.transport)
	return err
}

func (n *Node) newTransport() transport {
	id := raft.ServerID(n.id)
	if n.opts.Layer == nil {
		return peernet.NewLone(id)
	}
	n.opts.Layer.Start(func(id serverid.ID) bool { return n.started.Load() && n.Knows(id) }, n.opts.MaxSnapshot)
	return peernet.NewTransport(id, raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  n.opts.Layer,
		MaxPool: transportPool,
		Timeout: n.opts.Timing.Transport,
		Logger:  Logger(n.log),
	}), peernet.Hooks{
		Admit:   n.admits,
		Durable: n.logs.WaitDurable,
		Sends:   n.sends,
		Forgot:  n.opts.Forgot,
	})
}

// sends tells whether this node leads in the given term and the configuration has the member at this address.
func (n *Node) sends(id serverid.ID, address string, term uint64) bool {
	if !n.started.Load() || n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
		return false
	}
	m, ok := n.Member(id)
	return ok && m.Address == address
}

// mayBeUnsynced tells whether entries may be unsynced: see package raftlog.
func (n *Node) mayBeUnsynced() bool {
	if n.raft.State() != raft.Leader {
		return false
	}
	voters, _ := Count(n.Members())
	return voters >= 2
}

// Stop begins to stop the node without waiting for its disk, which may hang: Raft accepts nothing more, and sends no
// heartbeats that would keep the other nodes from electing a leader. The caller must still call Close. Stop may be
// called twice.
func (n *Node) Stop() {
	n.stopping.Do(func() {
		close(n.stop)
		n.raft.DeregisterObserver(n.observer)
		n.shut = n.raft.Shutdown()
	})
}

// StopTalking calls Stop and closes Raft's connections, which Raft itself closes only after it has stopped.
func (n *Node) StopTalking() {
	n.Stop()
	if t, ok := n.transport.(*peernet.Transport); ok {
		_ = t.Close()
		t.CloseStreams()
	}
}

// Stopped waits, after Stop, until Raft has stopped, so that its log and term no longer change. It returns an error
// after closeBound.
func (n *Node) Stopped() error {
	done := make(chan error, 1)
	go func() { done <- n.shut.Error() }()
	select {
	case err := <-done:
		return err
	case <-time.After(closeBound):
		return fmt.Errorf("raft has not stopped after %s", closeBound)
	}
}

// Close stops the node and waits until it has stopped. It may be called twice. Callers that wait in Propose return at
// once, with ErrLost.
func (n *Node) Close() error {
	n.Stop()
	err := n.Stopped()
	if t, ok := n.transport.(*peernet.Transport); ok {
		t.CloseStreams()
	}
	n.wg.Wait()
	return err
}

// Stopping is closed when the node begins to stop.
func (n *Node) Stopping() <-chan struct{} { return n.stop }

// await waits for a future until the node is stopped: hashicorp/raft 1.7.3 forgets futures when it is shut down, so
// that they never end. Each such future then leaks one goroutine.
func (n *Node) await(f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-n.stop:
		return ErrStopped
	}
}
