package raftstore

import (
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/snapstore"
	"github.com/distcache/distcache/raftstore/internal/state"
	"github.com/distcache/distcache/wire"
)

// applied is what an entry's future gives: the status of each operation, or why it could not be applied.
type applied struct {
	statuses []wire.Status
	err      error
}

// An fsm is the state machine as Raft calls it. When it can't go on, it says so itself (state.Options.Failed).
type fsm struct{ m *state.Machine }

var _ raft.BatchingFSM = fsm{}

// Apply applies one committed entry.
func (f fsm) Apply(l *raft.Log) any {
	statuses, err := f.m.Apply(l.Index, l.Term, l.Data)
	return applied{statuses, err}
}

// ApplyBatch applies committed entries in order.
func (f fsm) ApplyBatch(ls []*raft.Log) []any {
	results := make([]any, len(ls))
	for i, l := range ls {
		switch l.Type {
		case raft.LogCommand:
			results[i] = f.Apply(l)
		case raft.LogConfiguration:
			f.m.Advance(l.Index, l.Term)
		}
	}
	return results
}

// Snapshot captures nothing: a snapshot is the state file as it is when it is persisted, at or past this index.
func (f fsm) Snapshot() (raft.FSMSnapshot, error) { return fsmSnapshot(f), nil }

// Restore replaces the state by a snapshot that another node sent: its file becomes the state file.
func (f fsm) Restore(r io.ReadCloser) error {
	return f.restore(r, func(uint64, uint64) error { return nil })
}

// restore is Restore. settle is called with the index and term of the snapshot's last entry when the state is in place,
// before it is noted that the snapshot is installed: a crash in between has the next start do both.
func (f fsm) restore(r io.ReadCloser, settle func(index, term uint64) error) error {
	defer r.Close()
	if w, ok := r.(raft.ReadCloserWrapper); ok {
		r = w.WrappedReadCloser()
	}
	received, ok := r.(*snapstore.Received)
	if !ok {
		return fmt.Errorf("snapshot comes from a %T", r)
	}
	if err := f.m.Install(received.Name()); err != nil {
		return err
	}
	if err := settle(received.Index, received.Term); err != nil {
		return err
	}
	applied, _ := f.m.Applied()
	return received.Installed(applied)
}

type fsmSnapshot fsm

// Persist makes sure that the state file is at or past the snapshot. Nothing is copied.
func (s fsmSnapshot) Persist(sink raft.SnapshotSink) error {
	own, ok := sink.(*snapstore.Sink)
	if !ok {
		return fmt.Errorf("snapshot sink is a %T", sink)
	}
	if err := s.m.Flush(); err != nil {
		return err
	}
	own.Own()
	return own.Close()
}

// Release has nothing to give back.
func (fsmSnapshot) Release() {}

// A memberFSM is the state machine as Raft has it. A snapshot brings another configuration with it, and the log has
// to follow on it.
type memberFSM struct {
	fsm
	log *raftlog.Log
}

// Restore replaces the state by a snapshot that another node sent.
func (f memberFSM) Restore(r io.ReadCloser) error {
	f.log.VotersUnknown()
	return f.restore(r, f.log.Settle)
}
