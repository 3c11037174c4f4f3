package raftstore

import (
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/parallel"
)

// A memberLog is the log as Raft has it. It takes note of the cluster's name, which counts from before it is applied, and
// whether this node is the only voter, which each read asks: what Raft itself has to say of it costs as much as the rest of a
// read.
//
// A configuration is in force as soon as it is in the log (Raft thesis, section 4.1), so one that has other voters counts
// from before it is stored, and one that has none from when it is.
type memberLog struct {
	*parallel.Log
	self raft.ServerID
	lone atomic.Bool // never set while there may be other voters; it may be unset while there are none
	name atomic.Pointer[string]

	named func() bool // the name has been applied
}

// clusterName is the last name in the log, empty when there is none. It may be one that was not committed, and is deleted
// again.
func (l *memberLog) clusterName() string {
	if name := l.name.Load(); name != nil {
		return *name
	}
	return ""
}

// notice looks for the cluster's name in an entry, as long as none has been applied.
func (l *memberLog) notice(e *raft.Log) {
	if e.Type != raft.LogCommand || l.named() {
		return
	}
	_, ops, err := entry.ParseHeader(e.Data)
	for err == nil && len(ops) > 0 {
		var op entry.Op
		if ops, err = entry.NextOp(ops, &op); err == nil && op.Kind == entry.Node && string(op.ID) == clusterKey {
			name := string(op.Data)
			l.name.Store(&name)
		}
	}
}

// onlyVoter tells whether nobody else could be elected by these servers.
func (l *memberLog) onlyVoter(servers []raft.Server) bool {
	for _, s := range servers {
		if s.Suffrage == raft.Voter && s.ID != l.self {
			return false
		}
	}
	return len(servers) > 0
}

// StoreLog stores one entry.
func (l *memberLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs stores entries.
func (l *memberLog) StoreLogs(es []*raft.Log) error {
	var only, changes bool
	for _, e := range es {
		l.notice(e)
		if e.Type == raft.LogConfiguration {
			only, changes = l.onlyVoter(raft.DecodeConfiguration(e.Data).Servers), true
			if !only {
				l.lone.Store(false)
			}
		}
	}
	err := l.Log.StoreLogs(es)
	if err == nil && changes {
		l.lone.Store(only)
	}
	return err
}

// DeleteRange deletes entries. At the end of the log that brings an older configuration back into force.
func (l *memberLog) DeleteRange(first, last uint64) error {
	if end, err := l.LastIndex(); err != nil || last >= end {
		l.lone.Store(false)
	}
	return l.Log.DeleteRange(first, last)
}

// A memberFSM is the state machine as Raft has it. A snapshot brings another configuration with it, and the log has to follow
// on it.
type memberFSM struct {
	fsm
	log     *memberLog
	settled *settledLog // over log
}

// Restore replaces the state by a snapshot that another node sent.
func (f memberFSM) Restore(r io.ReadCloser) error {
	f.log.lone.Store(false)
	return f.restore(r, f.settled.settle)
}
