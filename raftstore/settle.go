package raftstore

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/peernet"
)

// A log follows on the snapshot that was installed last: it has the snapshot's last entry, or begins behind that. Otherwise
// all of it goes (Raft thesis, figure 5.3).
//
// hashicorp/raft 1.7.3 keeps a log that does not follow, both the entries and, in memory, the index and term of the last one.
// Entries that were never committed would stay at or below the snapshot's index. This node, as a leader, could send them to
// others as committed ones. As a follower it would compare what the leader sends with them and refuse it: the leader would
// send the snapshot again, for ever. TestSnapshotOverConflictingEntries shows both.

// settle makes a log follow on a snapshot whose last entry has the given index and term. It tells whether the log had
// another entry at that index.
func settle(l raft.LogStore, index, term uint64) (conflict bool, err error) {
	first, err := l.FirstIndex()
	if err != nil {
		return false, err
	}
	last, err := l.LastIndex()
	if err != nil {
		return false, err
	}
	var e raft.Log
	switch err := l.GetLog(index, &e); {
	case err == nil && e.Term == term, first == 0, first > index:
		return false, nil
	case err == nil:
		return true, l.DeleteRange(first, last)
	case errors.Is(err, raft.ErrLogNotFound):
		// What is behind a gap at the index was stored after another snapshot, as late as this one.
		return false, l.DeleteRange(first, min(index, last))
	default:
		return false, err
	}
}

// A settledLog is the log as Raft has it.
type settledLog struct {
	*raft.LogCache
	stale atomic.Bool              // Raft takes an entry for the last one that is gone
	end   atomic.Pointer[raft.Log] // the snapshot's last entry, while Raft is told that the log ends there
}

// settle makes the log follow on a snapshot that is being installed.
func (l *settledLog) settle(index, term uint64) error {
	conflict, err := settle(l.LogCache, index, term)
	if conflict {
		l.stale.Store(true)
	}
	if err != nil {
		return fmt.Errorf("drop log entries that do not lead to the snapshot: %w", err)
	}
	return nil
}

// GetLog reads an entry.
func (l *settledLog) GetLog(index uint64, e *raft.Log) error {
	if end := l.end.Load(); end != nil && end.Index == index {
		*e = raft.Log{Index: index} // of another term, so that Raft replaces it
		return nil
	}
	return l.LogCache.GetLog(index, e)
}

// StoreLogs stores entries. The snapshot's last entry is in the snapshot.
func (l *settledLog) StoreLogs(es []*raft.Log) error {
	if end := l.end.Load(); end != nil && len(es) == 1 && es[0] == end {
		l.stale.Store(false)
		return nil
	}
	return l.LogCache.StoreLogs(es)
}

// install has Raft install a snapshot that another node sends. The answer is an error when Raft does not know where the log
// ends: the leader sends the snapshot again.
func (l *settledLog) install(t *peernet.Transport, rpc raft.RPC, req *raft.InstallSnapshotRequest) {
	a := t.Ask(raft.RPC{Command: req, Reader: rpc.Reader})
	if resp, ok := a.Response.(*raft.InstallSnapshotResponse); ok && a.Error == nil && resp.Success && l.stale.Load() {
		a.Error = l.tellEnd(t, req)
	}
	rpc.Respond(a.Response, a.Error)
}

// tellEnd has Raft take the snapshot's last entry for the last of the log, by a request of the snapshot's leader to append
// it. Nothing else makes Raft forget an entry of its log.
func (l *settledLog) tellEnd(t *peernet.Transport, req *raft.InstallSnapshotRequest) error {
	end := &raft.Log{Index: req.LastLogIndex, Term: req.LastLogTerm, Type: raft.LogNoop}
	l.end.Store(end)
	defer l.end.Store(nil)
	a := t.Ask(raft.RPC{Command: &raft.AppendEntriesRequest{
		RPCHeader: req.RPCHeader, Term: req.Term, Entries: []*raft.Log{end}}})
	if a.Error == nil && l.stale.Load() {
		return errors.New("the leader of the snapshot was overtaken while it was installed")
	}
	return a.Error
}
