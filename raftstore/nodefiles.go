package raftstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/snapstore"
	"github.com/distcache/distcache/raftstore/internal/state"
)

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
	logs, err := raftlog.Open(raftlog.Options{
		Dir:         n.cfg.Dir,
		Kind:        n.cfg.RaftLog,
		Self:        n.id,
		Logger:      raftnode.Logger(n.cfg.Logger),
		DiskTimeout: n.cfg.DiskTimeout,
		Covered:     snapshots.Newest,
		Fail:        fail,
		Wrote:       n.cfg.counters.wrote,
		OpenFiles:   n.cfg.hooks.logFiles,
	})
	switch stateErr := <-opened; {
	case stateErr != nil && err == nil:
		return errors.Join(stateErr, logs.Close())
	case stateErr != nil:
		return stateErr
	case err != nil:
		return errors.Join(err, n.state.Close())
	}
	n.logs = logs
	return nil
}

// recoverState finishes what a crash interrupted between receiving a snapshot and noting that it was installed.
func recoverState(m *state.Machine, log *raftlog.Log, snapshots *snapstore.Store) error {
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
		if err := log.Settle(index, term); err != nil {
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
func checkFiles(m *state.Machine, log *raftlog.Log, kind LogKind, snapshots *snapstore.Store, id identity) error {
	snapshot := snapshots.Newest()
	term, err := log.Term()
	if err != nil {
		return fmt.Errorf("raft log: %w", err)
	}
	if id.Phase == phaseMember && term == 0 {
		return raftlog.VotesLost(kind)
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
		return fmt.Errorf("%w: %s ends at log entry %d, and %s begins at %d", ErrForeign, stateFile, applied, kind.File(), first)
	}
	if snapshot > applied {
		return fmt.Errorf("%w: %s ends at log entry %d, before the newest snapshot, %d", ErrForeign, stateFile, applied, snapshot)
	}
	if applied > max(last, snapshots.Ahead()) {
		return fmt.Errorf("%w: %s holds log entry %d, and %s ends at %d", ErrForeign, stateFile, applied, kind.File(), last)
	}
	return nil
}

// closeState closes the state file of a node that does not start. One that was made for that, and holds nothing, goes:
// what is refused stays as it was.
func (n *node) closeState(made bool) {
	applied, _ := n.state.Applied()
	if err := n.state.Close(); err == nil && made && applied == 0 {
		_ = os.Remove(filepath.Join(n.cfg.Dir, stateFile))
	}
}
