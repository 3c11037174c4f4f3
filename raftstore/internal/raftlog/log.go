package raftlog

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/boltlog"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// ErrClosed is returned by calls that wait when the log is closed.
var ErrClosed = errors.New("log is closed")

// A Log is a raft.LogStore and a raft.StableStore. Any number of goroutines may use it; one at a time stores
// entries, or deletes those at the end, as Raft does. Entries that were stored, and those that GetLog gives, share
// their bytes: nobody changes them.
type Log struct {
	disk     *disk
	unsynced func() bool  // whether entries may be; set by Started
	grown    atomic.Int64 // see Grown

	mu      sync.Mutex // of the entries in memory
	changed *sync.Cond
	newest  []*raft.Log // the last entries of the log, in order and without a gap
	behind  int         // so many at the end of newest are unsynced
	err     error       // why nothing more is written
	closed  bool
	done    chan struct{} // closed when the goroutine that writes has ended

	kind       Kind
	self       serverid.ID
	soleVoter  atomic.Bool              // see SoleVoter
	configured atomic.Uint64            // see Configured
	stale      atomic.Bool              // see Stale
	end        atomic.Pointer[raft.Log] // see PretendEnd
}

func newLog(d *disk, opts Options) *Log {
	l := &Log{disk: d, kind: opts.Kind, self: opts.Self, done: make(chan struct{})}
	l.changed = sync.NewCond(&l.mu)
	go l.write()
	return l
}

// Started tells the log that Raft has read it. From now on an error of the disk ends the goroutine that meets it, see
// disk.endRaft, and entries may be unsynced while mayBeUnsynced says that this node leads two voters or more.
func (l *Log) Started(mayBeUnsynced func() bool) {
	l.unsynced = mayBeUnsynced
	l.stale.Store(false)
	l.disk.started.Store(true)
}

// Broken is the first error of the disk, nil when there was none.
func (l *Log) Broken() error { return l.disk.why() }

// Grown is how many bytes of entries there were after the last snapshot when Raft read the log, and of those stored
// since.
func (l *Log) Grown() int64 { return l.grown.Load() }

// Size is how many bytes the log's files have, and how many of them are free and given back when the log is next
// opened.
func (l *Log) Size() (size, free int64) {
	_ = filepath.WalkDir(l.disk.path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // the file has just been deleted
		}
		if fi, err := d.Info(); err == nil && fi.Mode().IsRegular() {
			size += fi.Size()
		}
		return nil
	})
	if f, ok := l.disk.files.(*boltlog.Log); ok {
		free = f.Free()
	}
	return size, free
}

// Close writes what is unsynced, and closes the files. It may be called twice.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.changed.Broadcast()
	l.mu.Unlock()
	<-l.done
	return l.disk.Close()
}

// StoreLog stores one entry.
func (l *Log) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs stores entries that follow on each other. They are synced when it returns, unless they may be unsynced:
// then WaitDurable tells when they are on disk.
func (l *Log) StoreLogs(es []*raft.Log) error {
	if len(es) == 0 {
		return nil
	}
	if end := l.end.Load(); end != nil && len(es) == 1 && es[0] == end {
		l.stale.Store(false) // Raft has taken it for the end. The entry itself is in the snapshot.
		return nil
	}
	sole, changes := l.willFollow(es)
	var err error
	if l.disk.started.Load() && !slices.ContainsFunc(es, changesMembers) && l.unsynced() {
		err = l.storeUnsynced(es)
	} else {
		err = l.storeSynced(es)
	}
	if err == nil && changes {
		l.soleVoter.Store(sole)
	}
	return err
}

func changesMembers(e *raft.Log) bool { return e.Type != raft.LogCommand && e.Type != raft.LogNoop }

// GetLog reads an entry, synced or not. The error is raft.ErrLogNotFound when it isn't there.
func (l *Log) GetLog(index uint64, e *raft.Log) error {
	if end := l.end.Load(); end != nil && end.Index == index {
		*e = raft.Log{Index: index} // of another term, so that Raft replaces it
		return nil
	}
	if kept := l.inMemory(index); kept != nil {
		*e = *kept
		return nil
	}
	if err := l.disk.GetLog(index, e); err != nil {
		return err
	}
	if !l.disk.started.Load() { // Raft reads all that follow its newest snapshot when it starts
		l.grown.Add(int64(len(e.Data)))
	}
	if e.Type == raft.LogConfiguration {
		l.sees(index)
	}
	return nil
}

// FirstIndex is that of the oldest entry, 0 when there is none.
func (l *Log) FirstIndex() (uint64, error) {
	l.mu.Lock()
	var unsynced uint64
	if l.behind > 0 {
		unsynced = l.newest[len(l.newest)-l.behind].Index
	}
	l.mu.Unlock()
	first, err := l.disk.FirstIndex()
	if first == 0 {
		first = unsynced
	}
	return first, err
}

// LastIndex is that of the newest entry, 0 when there is none.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.Lock()
	if l.behind > 0 {
		defer l.mu.Unlock()
		return l.newest[len(l.newest)-1].Index, nil
	}
	l.mu.Unlock()
	return l.disk.LastIndex()
}

// DeleteRange deletes entries. If unsynced ones are among them, they are written first.
func (l *Log) DeleteRange(first, last uint64) error {
	if end, err := l.LastIndex(); err != nil || last >= end {
		l.VotersUnknown() // an older configuration is in force again
	}
	if err := l.WaitDurable(last); err != nil {
		return err
	}
	l.forget(first, last)
	return l.disk.DeleteRange(first, last)
}

// Behind is the entry behind which the log has so many bytes, 0 when it has fewer. It is 0 too when an entry can't
// be read: the node does not end for that, as it does when Raft asks for the entry.
func (l *Log) Behind(last uint64, bytes int64) uint64 {
	if l.WaitDurable(last) != nil {
		return 0
	}
	for i := last; i > 0; i-- {
		var e raft.Log
		if l.disk.read(i, &e) != nil {
			break
		}
		if bytes -= int64(len(e.Data)); bytes <= 0 {
			return i - 1
		}
	}
	return 0
}

// Term is the node's current term, 0 when none was stored.
func (l *Log) Term() (uint64, error) { return l.disk.term() }

// Get reads a value kept beside the entries.
func (l *Log) Get(key []byte) ([]byte, error) { return l.disk.Get(key) }

// GetUint64 reads a number kept beside the entries.
func (l *Log) GetUint64(key []byte) (uint64, error) { return l.disk.GetUint64(key) }

// Set stores a value and syncs it, when all entries are synced.
func (l *Log) Set(key, value []byte) error {
	return l.written(func() error { return l.disk.Set(key, value) })
}

// SetUint64 stores a number and syncs it, when all entries are synced.
func (l *Log) SetUint64(key []byte, value uint64) error {
	return l.written(func() error { return l.disk.SetUint64(key, value) })
}

// written writes a term or vote. It does not come back to Raft from an error, see disk.endRaft.
func (l *Log) written(write func() error) error {
	err := l.drain()
	if err == nil {
		err = write()
	}
	if err != nil {
		l.disk.endRaft()
	}
	return err
}
