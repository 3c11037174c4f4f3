package raftlog

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// The log tracks the newest configuration in it: where it is, which Raft does not say, and whether this node is the
// only voter, which each read asks. What Raft itself has to say of that costs as much as the rest of a read.
//
// A configuration is in force as soon as it is in the log (Raft thesis, section 4.1). So a configuration that has other
// voters counts from before it is stored, and one that has none from when it is.

// SoleVoter tells whether this node is the only voter. It is never true while there may be others; it may be false
// while there are none.
func (l *Log) SoleVoter() bool { return l.soleVoter.Load() }

// Follow takes note of the configuration that Raft has found when it started, and which nobody changes yet.
func (l *Log) Follow(servers []raft.Server) { l.soleVoter.Store(l.onlyVoter(servers)) }

// VotersUnknown has SoleVoter be false until the next configuration is stored. A snapshot brings another configuration.
func (l *Log) VotersUnknown() { l.soleVoter.Store(false) }

// Configured is the index of the newest configuration, or of one that was deleted again. It may be 0 when a
// snapshot came with a newer one, which then is applied.
func (l *Log) Configured() uint64 { return l.configured.Load() }

func (l *Log) sees(index uint64) { l.configured.Store(max(l.configured.Load(), index)) }

// onlyVoter tells whether nobody else could be elected by these servers.
func (l *Log) onlyVoter(servers []raft.Server) bool {
	for _, s := range servers {
		if s.Suffrage == raft.Voter && s.ID != raft.ServerID(l.self) {
			return false
		}
	}
	return len(servers) > 0
}

// willFollow takes note of configurations that are about to be stored. It tells whether there are any, and whether this
// node is the only voter when they are stored.
func (l *Log) willFollow(es []*raft.Log) (sole, changes bool) {
	for _, e := range es {
		if e.Type != raft.LogConfiguration {
			continue
		}
		sole, changes = l.onlyVoter(raft.DecodeConfiguration(e.Data).Servers), true
		if !sole {
			l.VotersUnknown()
		}
		l.sees(e.Index)
	}
	return sole, changes
}

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
