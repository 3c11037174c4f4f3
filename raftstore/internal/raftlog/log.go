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

// A Log is a raft.LogStore and a raft.StableStore. Any number of goroutines may use it, but only one at a time may
// store entries or delete entries at the end, as Raft does. Stored entries and those that GetLog returns share their
// bytes, which nobody may change.
type Log struct {
	disk     *disk
	unsynced func() bool  // whether entries may be unsynced; set by Started
	grown    atomic.Int64 // see Grown

	mu      sync.Mutex // of the entries in memory
	changed *sync.Cond
	newest  []*raft.Log // the last entries of the log, in order and without a gap
	behind  int         // the number of unsynced entries, which are the last of newest
	err     error       // the error after which nothing more is written
	closed  bool
	done    chan struct{} // closed when the writing goroutine has ended

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

// Started tells the log that Raft has started. From now on an error of the disk ends the calling goroutine (see
// disk.endRaft), and entries may be unsynced while mayBeUnsynced returns true.
func (l *Log) Started(mayBeUnsynced func() bool) {
	l.unsynced = mayBeUnsynced
	l.stale.Store(false)
	l.disk.started.Store(true)
}

// Broken is the first error of the disk, nil when there was none.
func (l *Log) Broken() error { return l.disk.why() }

// Grown is the size of the entries that Raft read after the last snapshot when it started, plus that of all entries
// stored since, in bytes.
func (l *Log) Grown() int64 { return l.grown.Load() }

// Size is the size of the log's files in bytes, and the number of free bytes that will be released when the log is next
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

// Close syncs the unsynced entries and closes the files. It may be called twice.
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

// StoreLogs stores consecutive entries. They are synced when StoreLogs returns, unless entries may be unsynced: then
// WaitDurable tells when they are on disk.
func (l *Log) StoreLogs(es []*raft.Log) error {
	if len(es) == 0 {
		return nil
	}
	if end := l.end.Load(); end != nil && len(es) == 1 && es[0] == end {
		l.stale.Store(false) // Raft now has the right last entry. The snapshot includes it, so it is not stored.
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

// GetLog reads an entry, synced or not. The error is raft.ErrLogNotFound when there is no such entry.
func (l *Log) GetLog(index uint64, e *raft.Log) error {
	if end := l.end.Load(); end != nil && end.Index == index {
		*e = raft.Log{Index: index} // term 0, so that Raft replaces this entry
		return nil
	}
	if kept := l.inMemory(index); kept != nil {
		*e = *kept
		return nil
	}
	if err := l.disk.GetLog(index, e); err != nil {
		return err
	}
	if !l.disk.started.Load() { // when Raft starts, it reads all entries after its newest snapshot
		l.grown.Add(int64(len(e.Data)))
	}
	if e.Type == raft.LogConfiguration {
		l.sees(index)
	}
	return nil
}

// FirstIndex is the index of the oldest entry, 0 when there is none.
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

// LastIndex is the index of the newest entry, 0 when there is none.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.Lock()
	if l.behind > 0 {
		defer l.mu.Unlock()
		return l.newest[len(l.newest)-1].Index, nil
	}
	l.mu.Unlock()
	return l.disk.LastIndex()
}

// DeleteRange deletes entries. Unsynced entries among them are written first.
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

// Behind counts back from the entry last, and returns the index of the entry after which the log has at least so many
// bytes. It returns 0 when the log has fewer, and also when an entry can't be read: the node ends only when Raft itself
// asks for a damaged entry.
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

// Set waits until all entries are synced, then stores a value and syncs it.
func (l *Log) Set(key, value []byte) error {
	return l.written(func() error { return l.disk.Set(key, value) })
}

// SetUint64 waits until all entries are synced, then stores a number and syncs it.
func (l *Log) SetUint64(key []byte, value uint64) error {
	return l.written(func() error { return l.disk.SetUint64(key, value) })
}

// written writes a term or vote. After an error it does not return to Raft: see disk.endRaft.
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
