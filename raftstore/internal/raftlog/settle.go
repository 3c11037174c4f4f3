package raftlog

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// A log follows on the snapshot that was installed last: it has the snapshot's last entry, or begins behind that.
// Otherwise all of it goes (Raft thesis, figure 5.3).
//
// hashicorp/raft 1.7.3 keeps a log that does not follow, both the entries and, in memory, the index and term of the
// last one. Entries that were never committed would stay at or below the snapshot's index. This node, as a leader,
// could send them to others as committed ones. As a follower it would compare what the leader sends with them and
// refuse it: the leader would send the snapshot again, for ever. TestSnapshotOverConflictingEntries shows both.

// Settle makes the log follow on a snapshot, whose last entry has the given index and term, while it is being
// installed.
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
		// What is behind a gap at the index was stored after another snapshot, as late as this one.
		return l.DeleteRange(first, min(index, last))
	default:
		return err
	}
}

// Stale tells whether Raft takes an entry for the last one that Settle has deleted.
func (l *Log) Stale() bool { return l.stale.Load() }

// PretendEnd has the log say to Raft, until it is called with nil, that it ends where a snapshot does, in an entry of
// another term. When Raft then stores the snapshot's last entry, which is e itself, the log is no longer stale. Nothing
// else makes Raft forget an entry of its log.
func (l *Log) PretendEnd(e *raft.Log) { l.end.Store(e) }
