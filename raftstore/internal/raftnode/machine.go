package raftnode

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/snapstore"
	"github.com/distcache/distcache/wire"
)

// A Machine is the state machine. Raft calls Apply, Advance and Install from one goroutine, in the order of the log.
// The machine itself reports, to whoever made it, that it can't go on.
type Machine interface {
	// Apply applies a committed entry and returns the status of each operation.
	Apply(index, term uint64, data []byte) ([]wire.Status, error)
	// Advance sets the applied index to an entry that does not change the state: a configuration.
	Advance(index, term uint64)
	// Install replaces the state by the state file that another node sent.
	Install(file string) error
	// Flush writes everything that was applied to the machine's file.
	Flush() error
	// Applied is the applied index, and the term of that entry.
	Applied() (index, term uint64)
	// Flushed is the applied index in the machine's file, and the file's size.
	Flushed() (index uint64, size int64)
}

// applied is the response of an entry's future: the status of each operation, or the error of Apply.
type applied struct {
	statuses []wire.Status
	err      error
}

// An fsm adapts the state machine to Raft's interface.
type fsm struct {
	m   Machine
	log *raftlog.Log
}

var _ raft.BatchingFSM = &fsm{}

// Apply applies one committed entry.
func (f *fsm) Apply(l *raft.Log) any {
	statuses, err := f.m.Apply(l.Index, l.Term, l.Data)
	return applied{statuses, err}
}

// ApplyBatch applies committed entries in order.
func (f *fsm) ApplyBatch(ls []*raft.Log) []any {
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

// Snapshot captures nothing: a snapshot is the machine's file at the time of Persist, at or past this index.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) { return snapshot{f.m}, nil }

// Restore installs a snapshot that another node sent, and deletes log entries that conflict with it. The snapshot
// brings another configuration. The snapshot is recorded as installed at the end: after a crash in between, the next
// start repeats both steps.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	f.log.VotersUnknown()
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
	if err := f.log.Settle(received.Index, received.Term); err != nil {
		return err
	}
	index, _ := f.m.Applied()
	return received.Installed(index)
}

type snapshot struct{ m Machine }

// Persist makes sure that the machine's file is at or past the snapshot's index. Nothing is copied.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
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

// Release does nothing.
func (snapshot) Release() {}

// Snapshot takes a snapshot and trims the log to so many entries.
func (n *Node) Snapshot(entries uint64) error {
	c := n.raft.ReloadableConfig()
	c.TrailingLogs = max(entries, 1)
	if err := n.raft.ReloadConfig(c); err != nil {
		return err
	}
	err := n.await(n.raft.Snapshot())
	if errors.Is(err, raft.ErrNothingNewToSnapshot) || errors.Is(err, raft.ErrRaftShutdown) || errors.Is(err, ErrStopped) {
		return nil
	}
	return err
}

// install lets Raft install a snapshot that another node sends. The answer is an error when Raft still has the wrong
// last entry afterwards, so that the leader sends the snapshot again.
func (n *Node) install(t *peernet.Transport, rpc raft.RPC, req *raft.InstallSnapshotRequest) {
	// A snapshot that can't be one is not taken in to its end; the connection ends with it.
	a := t.Ask(raft.RPC{Command: req, Reader: boltfile.Announced(rpc.Reader, req.Size)})
	if resp, ok := a.Response.(*raft.InstallSnapshotResponse); ok && a.Error == nil && resp.Success && n.logs.Stale() {
		a.Error = n.tellEnd(t, req)
	}
	rpc.Respond(a.Response, a.Error)
}

// tellEnd makes Raft take the snapshot's last entry for the last entry of the log. It sends Raft a request to append
// that entry in the name of the snapshot's leader: see PretendEnd in package raftlog.
func (n *Node) tellEnd(t *peernet.Transport, req *raft.InstallSnapshotRequest) error {
	end := &raft.Log{Index: req.LastLogIndex, Term: req.LastLogTerm, Type: raft.LogNoop}
	n.logs.PretendEnd(end)
	defer n.logs.PretendEnd(nil)
	a := t.Ask(raft.RPC{Command: &raft.AppendEntriesRequest{
		RPCHeader: req.RPCHeader, Term: req.Term, Entries: []*raft.Log{end}}})
	if a.Error == nil && n.logs.Stale() {
		return errors.New("the leader of the snapshot was overtaken while it was installed")
	}
	return a.Error
}
