package raftlog

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// After a snapshot is installed, the log must either contain the snapshot's last entry or begin behind that entry.
// Otherwise the whole log is deleted (Raft thesis, figure 5.3).
//
// hashicorp/raft 1.7.3 keeps such a log: the entries, and in memory the index and term of the last entry. Entries that
// were never committed would stay at or below the snapshot's index. As a leader, this node could send these entries to
// others as if they were committed. As a follower, this node would refuse the leader's entries because they conflict
// with its own, and the leader would send the snapshot again, for ever. TestSnapshotOverConflictingEntries shows both.

// Settle deletes the entries that conflict with a snapshot that is being installed. The snapshot's last entry has the
// given index and term.
func (l *Log) Settle(index, term uint64) error {
	if err := l.settle(index, term); err != nil {
		return fmt.Errorf("drop log entries that do not lead to the snapshot: %w", err)
	}
	return nil
}

func (l *Log) settle(index, term uint64) error {
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	var e raft.Log
	switch err := l.disk.GetLog(index, &e); {
	case err == nil && e.Term == term, first == 0, first > index:
		return nil
	case err == nil:
		l.stale.Store(true)
		return l.DeleteRange(first, last)
	case errors.Is(err, raft.ErrLogNotFound):
		// Entries behind a gap at the index were stored after another snapshot, which is at least as new.
		return l.DeleteRange(first, min(index, last))
	default:
		return err
	}
}

// Stale tells whether Raft still believes that the log ends with an entry that Settle has deleted.
func (l *Log) Stale() bool { return l.stale.Load() }

// PretendEnd makes the log pretend to Raft that it ends at a snapshot's index with an entry of another term, until
// PretendEnd is called with nil. Raft then replaces that entry by the snapshot's last entry, which is e itself, and the
// log is no longer stale. There is no other way to make Raft forget an entry of its log.
func (l *Log) PretendEnd(e *raft.Log) { l.end.Store(e) }
