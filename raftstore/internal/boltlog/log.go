// Package boltlog keeps the Raft log and the votes in one bbolt file, through hashicorp/raft-boltdb.
//
// bbolt's file never gets smaller: what has been deleted is taken up again by what is stored later. Compact makes it as
// small as what it holds, while it is in use.
package boltlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/raftstore/internal/files"
)

// copySuffix is added to the log's name for the copy that Compact makes.
const copySuffix = ".compact"

var (
	// ErrForeign matches the error for a bbolt file that is no Raft log.
	ErrForeign = errors.New("not a Raft log")
	// ErrBusy is returned by Compact while another one is under way.
	ErrBusy = errors.New("the log is being compacted already")
)

// A Log is an open log. Any number of goroutines may use it.
type Log struct {
	path   string
	ctx    context.Context // ends when the log is closed
	cancel context.CancelFunc

	compacting sync.Mutex // held by Compact, and by Close when that has ended

	// mu is held while the store is read, and by what puts another in its place or closes it.
	mu    sync.RWMutex
	store *store

	// writing is held by each write and by the last step of Compact. What follows is guarded by it.
	writing sync.Mutex
	holds   contents
	changes *changes // since Compact last looked; nil when it isn't under way
	failed  error    // of a write, after which nobody knows what the file holds
	refused error    // why nothing is written any more
}

// Open opens the log at path, or makes one, with mode 0600. A file that is damaged (boltfile.ErrDamaged) or holds other
// things (ErrForeign) is left as it is.
func Open(path string) (*Log, error) {
	var holds contents
	s, err := openStore(path, os.O_RDWR|os.O_CREATE, path, func() (err error) {
		holds, err = check(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	// The lock is ours, so nobody is at work on it.
	if err := files.Remove(path + copySuffix); err != nil {
		return nil, errors.Join(fmt.Errorf("left over from compacting the log: %w", err), s.Close())
	}
	l := &Log{path: path, store: s, holds: holds}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// Close closes the file, after the read or write under way. It ends a Compact.
func (l *Log) Close() error {
	l.cancel()
	l.compacting.Lock()
	defer l.compacting.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.store.Close()
}

// read runs a read.
func read[T any](l *Log, f func(*raftboltdb.BoltStore) (T, error)) (T, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return f(l.store.BoltStore)
}

// FirstIndex is that of the oldest entry, 0 when there is none.
func (l *Log) FirstIndex() (uint64, error) { return read(l, (*raftboltdb.BoltStore).FirstIndex) }

// LastIndex is that of the newest entry, 0 when there is none.
func (l *Log) LastIndex() (uint64, error) { return read(l, (*raftboltdb.BoltStore).LastIndex) }

// GetLog reads an entry. The error is raft.ErrLogNotFound when it isn't there. The bytes that e had before are left
// alone: they may be those of an entry that is still in use, and raft-boltdb would write over them.
func (l *Log) GetLog(index uint64, e *raft.Log) error {
	found, err := read(l, func(s *raftboltdb.BoltStore) (found raft.Log, err error) {
		err = s.GetLog(index, &found)
		return found, err
	})
	if err == nil {
		*e = found
	}
	return err
}

// Get reads a value kept beside the log. The error is raftboltdb.ErrKeyNotFound when it isn't there.
func (l *Log) Get(key []byte) ([]byte, error) {
	return read(l, func(s *raftboltdb.BoltStore) ([]byte, error) { return s.Get(key) })
}

// GetUint64 reads a number kept beside the log.
func (l *Log) GetUint64(key []byte) (uint64, error) {
	return read(l, func(s *raftboltdb.BoltStore) (uint64, error) { return s.GetUint64(key) })
}

// write runs a write, and notes what it did.
func (l *Log) write(f func(*raftboltdb.BoltStore) error, note func()) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.refused != nil {
		return l.refused
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := f(l.store.BoltStore); err != nil {
		l.failed = err
		return err
	}
	note()
	return nil
}

// StoreLog stores one entry and syncs it.
func (l *Log) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs stores entries and syncs them. There may be a gap between them and those before.
func (l *Log) StoreLogs(es []*raft.Log) error {
	return l.write(func(s *raftboltdb.BoltStore) error { return s.StoreLogs(es) }, func() {
		for _, e := range es {
			l.holds.entries.add(e.Index)
			l.changes.store(e)
		}
	})
}

// trimEntries are deleted in one write.
const trimEntries = 64

// DeleteRange deletes the entries from first to last, as far as they are there. Those at the front go some at a time, so
// that what is to be stored need not wait for all; a crash leaves a log that begins later. At the end it could leave a gap.
func (l *Log) DeleteRange(first, last uint64) error {
	end, err := l.LastIndex()
	if err != nil {
		return err
	}
	for last < end {
		front, err := l.FirstIndex() // it is behind a gap, perhaps
		if err != nil {
			return err
		}
		if front < first || front > last || last-front < trimEntries {
			break
		}
		if err := l.deleteRange(front, front+trimEntries-1); err != nil {
			return err
		}
	}
	return l.deleteRange(first, last)
}

func (l *Log) deleteRange(first, last uint64) error {
	return l.write(func(s *raftboltdb.BoltStore) error { return s.DeleteRange(first, last) }, func() {
		l.holds.entries.remove(first, last)
		l.changes.delete(first, last)
	})
}

// Set keeps a value beside the log and syncs it.
func (l *Log) Set(key, value []byte) error {
	return l.write(func(s *raftboltdb.BoltStore) error { return s.Set(key, value) }, func() {
		l.holds.keys[string(key)] = true
		l.changes.set(string(key))
	})
}

// SetUint64 keeps a number beside the log and syncs it.
func (l *Log) SetUint64(key []byte, value uint64) error {
	return l.write(func(s *raftboltdb.BoltStore) error { return s.SetUint64(key, value) }, func() {
		l.holds.keys[string(key)] = true
		l.changes.set(string(key))
	})
}

// Size is that of the file.
func (l *Log) Size() int64 {
	size, _ := l.sizes()
	return size
}

// Used is how much of the file holds something. The rest is free for what is stored next; Compact gives it back.
func (l *Log) Used() int64 {
	_, used := l.sizes()
	return used
}

func (l *Log) sizes() (size, used int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var st unix.Stat_t
	if l.ctx.Err() != nil || unix.Fstat(int(l.store.file.Fd()), &st) != nil {
		return 0, 0
	}
	// bbolt puts 16 MiB at a time by for later, which take no room on the disk until something is written there.
	return st.Size, min(st.Size, st.Blocks*512) - int64(l.store.Stats().FreeAlloc)
}
