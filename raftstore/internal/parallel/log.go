// Package parallel lets a leader write entries to its own disk while it sends them to the others (Raft thesis, section
// 10.2.1). hashicorp/raft does one after the other, so that a write takes two disks' time.
//
// Raft counts its own copy of an entry as soon as the log's StoreLogs returns, which here may be before the copy is on
// disk. What makes that safe is that nothing is committed by that copy alone:
//
//   - Entries may be late only while this node leads a cluster of two voters or more. A majority of those has another
//     node in it.
//   - What another node answers to entries is kept from Raft until the same entries are on this node's disk (Wait; the
//     transport calls it). So when that answer makes a majority, this node's copy is worth being counted.
//   - A change of the membership is itself never late, nor anything before it: it may leave one voter only.
//   - Before a term or vote is written, all is on disk. A node that follows has seen a later term than that in which it led,
//     so it never owes a leader what it says to have.
//
// A crash loses entries that were late: nobody was told that they are there, and those that the others have are like any
// that a leader did not get to commit.
package parallel

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// maxLate is how many entries may be late. More wait; the batcher never has so many under way.
const maxLate = 1024

// ErrClosed is returned by calls that wait when the log is closed.
var ErrClosed = errors.New("log is closed")

// A Log is a raft.LogStore whose entries may come to the disk late. Any number of goroutines may use it.
type Log struct {
	raft.LogStore // what is on disk
	mayBeLate     func() bool

	mu      sync.Mutex
	changed *sync.Cond
	late    []*raft.Log // not known to be on disk, in order
	err     error       // why nothing more is written
	closed  bool
	done    chan struct{}
}

// New returns a log over one on disk. mayBeLate is asked by each StoreLogs whether this node is the leader of two voters
// or more. The caller closes the log before that on disk.
func New(disk raft.LogStore, mayBeLate func() bool) *Log {
	l := &Log{LogStore: disk, mayBeLate: mayBeLate, done: make(chan struct{})}
	l.changed = sync.NewCond(&l.mu)
	go l.write()
	return l
}

// Close writes what is late, and ends the log's goroutine. It may be called twice.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.changed.Broadcast()
	l.mu.Unlock()
	<-l.done
	return nil
}

// write brings late entries to the disk: all that there are, as one write.
func (l *Log) write() {
	defer close(l.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for len(l.late) == 0 && !l.closed {
			l.changed.Wait()
		}
		if len(l.late) == 0 {
			return
		}
		es := slices.Clone(l.late)
		l.mu.Unlock()
		err := l.LogStore.StoreLogs(es)
		l.mu.Lock()
		if err != nil {
			l.err = err
			l.changed.Broadcast()
			return
		}
		l.late = slices.Clone(l.late[len(es):])
		l.changed.Broadcast()
	}
}

// StoreLog stores one entry.
func (l *Log) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs stores entries. They are on disk when it returns, unless they may be late: then Wait tells when they are. They
// must not be changed afterwards.
func (l *Log) StoreLogs(es []*raft.Log) error {
	if slices.ContainsFunc(es, changesMembers) || !l.mayBeLate() {
		if err := l.Drain(); err != nil {
			return err
		}
		return l.LogStore.StoreLogs(es)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.until(func() bool { return len(l.late) < maxLate }); err != nil {
		return err
	}
	l.late = append(l.late, es...)
	l.changed.Broadcast()
	return nil
}

func changesMembers(e *raft.Log) bool { return e.Type != raft.LogCommand && e.Type != raft.LogNoop }

// until waits for something that the writing of late entries brings about. Called with mu held.
func (l *Log) until(f func() bool) error {
	for l.err == nil && !f() {
		if l.closed {
			return ErrClosed
		}
		l.changed.Wait()
	}
	return l.err
}

// Wait blocks until the entries up to an index are on disk. An error means that they may not be.
func (l *Log) Wait(index uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until(func() bool { return len(l.late) == 0 || l.late[0].Index > index })
}

// Drain blocks until nothing is late.
func (l *Log) Drain() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until(func() bool { return len(l.late) == 0 })
}

// GetLog reads an entry, late or not. The caller may overwrite what it gets, as one that decodes the next entry into the
// same bytes does.
func (l *Log) GetLog(index uint64, e *raft.Log) error {
	l.mu.Lock()
	if n := len(l.late); n > 0 && index >= l.late[0].Index && index <= l.late[n-1].Index {
		*e = *l.late[index-l.late[0].Index]
		e.Data, e.Extensions = bytes.Clone(e.Data), bytes.Clone(e.Extensions)
		l.mu.Unlock()
		return nil
	}
	l.mu.Unlock()
	return l.LogStore.GetLog(index, e)
}

// FirstIndex is that of the oldest entry, 0 when there is none.
func (l *Log) FirstIndex() (uint64, error) {
	l.mu.Lock()
	var late uint64
	if len(l.late) > 0 {
		late = l.late[0].Index
	}
	l.mu.Unlock()
	first, err := l.LogStore.FirstIndex()
	if first == 0 {
		first = late
	}
	return first, err
}

// LastIndex is that of the newest entry, 0 when there is none.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.Lock()
	if n := len(l.late); n > 0 {
		defer l.mu.Unlock()
		return l.late[n-1].Index, nil
	}
	l.mu.Unlock()
	return l.LogStore.LastIndex()
}

// DeleteRange deletes entries. If late ones are among them, they are written first.
func (l *Log) DeleteRange(first, last uint64) error {
	if err := l.Wait(last); err != nil {
		return err
	}
	return l.LogStore.DeleteRange(first, last)
}

// IsMonotonic passes on what the log on disk says of itself.
func (l *Log) IsMonotonic() bool {
	m, ok := l.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}
