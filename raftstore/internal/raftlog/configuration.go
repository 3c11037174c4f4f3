package raftlog

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// The configuration tracker knows the index of the newest configuration in the log, which Raft does not report, and
// whether this node is the sole voter. Each read asks for the latter; asking Raft would cost as much as the rest of a
// read.
//
// A configuration is in force as soon as it is in the log (Raft thesis, section 4.1). So a configuration with other
// voters counts from before it is stored, and a configuration without other voters from after it is stored.

// SoleVoter tells whether this node is the only voter. It is never true while there may be others; it may be false
// while there are none.
func (l *Log) SoleVoter() bool { return l.soleVoter.Load() }

// Follow initializes the tracker with the configuration that Raft found when it started. Nobody changes the
// configuration until Follow has returned.
func (l *Log) Follow(servers []raft.Server) { l.soleVoter.Store(l.onlyVoter(servers)) }

// VotersUnknown makes SoleVoter false until the next configuration is stored. It is called, for example, when a
// snapshot brings another configuration.
func (l *Log) VotersUnknown() { l.soleVoter.Store(false) }

// Configured is the index of the newest configuration that was in the log, even if that entry was deleted again. It
// may be 0 when the newest configuration came with a snapshot. That configuration is applied already.
func (l *Log) Configured() uint64 { return l.configured.Load() }

func (l *Log) sees(index uint64) { l.configured.Store(max(l.configured.Load(), index)) }

// onlyVoter tells whether no other server in a configuration votes.
func (l *Log) onlyVoter(servers []raft.Server) bool {
	for _, s := range servers {
		if s.Suffrage == raft.Voter && s.ID != raft.ServerID(l.self) {
			return false
		}
	}
	return len(servers) > 0
}

// willFollow looks for configurations among entries that are about to be stored. It tells whether there are any
// (changes), and whether this node is the sole voter once they are stored (sole).
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
