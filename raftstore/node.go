package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/distcache/distcache/raftstore/internal/files"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/raftstore/internal/snapstore"
	"github.com/distcache/distcache/raftstore/internal/state"
)

// localAddress is what the configuration has for the address of a node without a peer port.
const localAddress = "local"

// A node is one life of a replica: Raft, its log, the state machine and the batcher over one set of files. A Store has
// one, and gets a new one when it gives up its state to join a cluster.
type node struct {
	cfg     Config
	id      serverid.ID
	log     *slog.Logger
	raft    *raftnode.Node
	logs    *raftlog.Log
	state   *state.Machine
	batcher *batcher
	clock   logClock
	clocks  *voterClocks
	reads   *readBatch     // of a leader: does it still lead?
	indexes *readBatch     // of a follower: how far must it have come to answer?
	layer   *peernet.Layer // nil without a peer port

	epochEnds func(before, now uint64) bool // whether an epoch of the seal key ends between; nil without one

	// joined is set when this node is a voter by a configuration that it has applied, see hasJoined.
	joined atomic.Bool
	// serving is the last term in which this node has led and applied an entry of its own, see leads.
	serving atomic.Uint64

	stop      chan struct{}
	halting   sync.Once
	silencing sync.Once
	closing   sync.Once
	wg        sync.WaitGroup
}

// openNode opens the files in cfg.Dir and starts Raft on them. layer is nil for a node without a peer port. fail is
// called when the node can't go on.
func openNode(cfg Config, id identity, layer *peernet.Layer, ask questions, fail func(error)) (_ *node, err error) {
	n := &node{cfg: cfg, id: id.ID(), log: cfg.Logger, layer: layer, stop: make(chan struct{}), clocks: newVoterClocks(),
		epochEnds: ask.epochEnds}
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()

	if !id.fresh() { // before an empty log is made
		if err := raftlog.CheckThere(cfg.Dir, cfg.RaftLog); err != nil {
			return nil, cfg.adviseForeign(err)
		}
	}
	there, err := files.Exists(filepath.Join(cfg.Dir, stateFile))
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
	undo = append(undo, func() { n.closeState(!there) }, func() { n.logs.Close() })

	if err := recoverState(n.state, n.logs, snapshots); err != nil {
		return nil, err
	}
	if err := checkFiles(n.state, n.logs, cfg.RaftLog, snapshots, id); err != nil {
		return nil, cfg.adviseForeign(err)
	}
	if err := n.logs.Claim(id.fresh()); err != nil {
		return nil, cfg.adviseForeign(err)
	}
	if n.raft, err = raftnode.Start(n.raftOptions(snapshots, ask, fail)); err != nil {
		return nil, err
	}
	if cfg.hooks.started != nil {
		cfg.hooks.started(n)
	}

	n.batcher = newBatcher(n.raft, cfg, n.stamp)
	n.reads = newReadBatch(func(ctx context.Context) (readIndex, error) {
		return readIndex{}, n.stillLeads(ctx, n.askTerm(ask.term))
	})
	n.indexes = newReadBatch(func(ctx context.Context) (readIndex, error) { return n.askIndex(ctx, ask.index) })
	n.wg.Go(n.lead)
	n.wg.Go(func() { n.watchClocks(ask.clock) })
	return n, nil
}

func (n *node) raftOptions(snapshots *snapstore.Store, ask questions, fail func(error)) raftnode.Options {
	opts := raftnode.Options{
		ID:          n.id,
		Log:         n.logs,
		Machine:     n.state,
		Snapshots:   snapshots,
		Layer:       n.layer,
		Logger:      n.log,
		Heartbeat:   n.cfg.Heartbeat,
		Lease:       n.cfg.Lease,
		LogBytes:    n.cfg.LogBytes,
		Timing:      n.cfg.timing.raft,
		Connect:     ask.connect,
		MaxSnapshot: func() int64 { return maxSnapshot(n.cfg.Dir) },
		Drop:        ask.drop,
		Forgot:      ask.forgot,
		Fail:        fail,
		Stood:       func() { n.cfg.counters.elections.Add(1) },
		Led:         func(serverid.ID) { n.cfg.counters.leaderChanges.Add(1) },
	}
	if n.cfg.hooks.machine != nil {
		opts.Machine, opts.Elected = n.cfg.hooks.machine(n.state)
	}
	return opts
}

// maxSnapshot is the size of the largest snapshot that a node receives. What is there stays there until the snapshot is
// complete.
func maxSnapshot(dir string) int64 {
	free, err := files.Free(dir)
	if err != nil {
		return 0
	}
	return free - free/20
}

// close stops Raft and closes the files. It may be called twice. An error is that of the files.
func (n *node) close() error {
	var err error
	n.closing.Do(func() {
		n.halt()
		err = n.raft.Close()
		n.silence()
		n.wg.Wait()
		err = errors.Join(err, n.logs.Close(), n.state.Close())
	})
	return err
}

// abort has a node that can't go on stand in nobody's way, without waiting for its disk, which may hang: what waits
// here is told to ask again, and no heartbeat keeps the other nodes from electing a leader. It is still to be closed.
func (n *node) abort() {
	n.halt()
	n.raft.StopTalking()
	n.silence()
}

// halt begins to stop Raft, and what this node does by itself.
func (n *node) halt() {
	n.halting.Do(func() {
		close(n.stop)
		n.raft.Stop()
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
