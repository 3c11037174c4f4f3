package raftstore

import (
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/parallel"
)

// A memberLog is the log as Raft has it. It takes note of the newest configuration in it: where it is, which Raft does not
// say, and whether this node is the only voter, which each read asks. What Raft itself has to say of that costs as much as
// the rest of a read.
//
// A configuration is in force as soon as it is in the log (Raft thesis, section 4.1), so one that has other voters counts
// from before it is stored, and one that has none from when it is.
type memberLog struct {
	*parallel.Log
	self raft.ServerID
	lone atomic.Bool // never set while there may be other voters; it may be unset while there are none

	// configured is the index of the newest configuration, or of one that was deleted again. It may be 0 when a snapshot
	// came with a newer one, which then is applied.
	configured atomic.Uint64
}

// GetLog reads an entry. Raft reads all that follow its newest snapshot when it starts.
func (l *memberLog) GetLog(index uint64, e *raft.Log) error {
	err := l.Log.GetLog(index, e)
	if err == nil && e.Type == raft.LogConfiguration {
		l.sees(index)
	}
	return err
}

func (l *memberLog) sees(index uint64) { l.configured.Store(max(l.configured.Load(), index)) }

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
		if e.Type == raft.LogConfiguration {
			only, changes = l.onlyVoter(raft.DecodeConfiguration(e.Data).Servers), true
			if !only {
				l.lone.Store(false)
			}
			l.sees(e.Index)
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
