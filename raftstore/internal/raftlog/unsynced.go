package raftlog

import (
	"slices"

	"github.com/hashicorp/raft"
)

const (
	// maxUnsynced is the most entries that may be unsynced. StoreLogs then waits; the batcher never has so many under
	// way.
	maxUnsynced = 1024
	// keptEntries is the number of newest entries that are kept in memory: Raft sends them to other nodes, and applies
	// them, soon after they are stored.
	keptEntries = 128
)

// write runs in a goroutine of its own. It writes all unsynced entries to the disk together, again and again.
func (l *Log) write() {
	defer close(l.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for l.behind == 0 && !l.closed {
			l.changed.Wait()
		}
		if l.behind == 0 {
			return
		}
		es := slices.Clone(l.newest[len(l.newest)-l.behind:])
		l.mu.Unlock()
		err := l.store(es)
		l.mu.Lock()
		if err != nil {
			l.err = err
			l.changed.Broadcast()
			return
		}
		l.behind -= len(es)
		l.forgetOldest()
		l.changed.Broadcast()
	}
}

// store writes entries to the disk.
func (l *Log) store(es []*raft.Log) error {
	if err := l.disk.StoreLogs(es); err != nil {
		return err
	}
	for _, e := range es {
		l.grown.Add(int64(len(e.Data)))
	}
	return nil
}

func (l *Log) storeSynced(es []*raft.Log) error {
	if err := l.drain(); err != nil {
		return err
	}
	if err := l.store(es); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(es)
	return nil
}

func (l *Log) storeUnsynced(es []*raft.Log) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.until(func() bool { return l.behind == 0 || l.behind < maxUnsynced && l.follows(es) })
	if err != nil {
		return err
	}
	l.behind += len(es)
	l.keep(es)
	l.changed.Broadcast()
	return nil
}

// follows tells whether es continue the entries in memory without a gap. Called with mu held.
func (l *Log) follows(es []*raft.Log) bool {
	n := len(l.newest)
	return n > 0 && es[0].Index == l.newest[n-1].Index+1
}

// keep adds entries to those in memory. Called with mu held.
func (l *Log) keep(es []*raft.Log) {
	if !l.follows(es) {
		l.newest = nil
	}
	l.newest = append(l.newest, es...)
	l.forgetOldest()
}

// forgetOldest drops from memory what exceeds keptEntries and is synced. Called with mu held.
func (l *Log) forgetOldest() {
	if n := len(l.newest) - max(keptEntries, l.behind); n > 0 {
		l.newest = slices.Delete(l.newest, 0, n)
	}
}

// until waits until f returns true, which it evaluates again after each write of unsynced entries. Called with mu held.
func (l *Log) until(f func() bool) error {
	for l.err == nil && !f() {
		if l.closed {
			return ErrClosed
		}
		l.changed.Wait()
	}
	return l.err
}

// WaitDurable blocks until the entries up to an index are on disk. An error means that they may not be.
func (l *Log) WaitDurable(index uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until(func() bool { return l.behind == 0 || l.newest[len(l.newest)-l.behind].Index > index })
}

// drain blocks until no entry is unsynced.
func (l *Log) drain() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until(func() bool { return l.behind == 0 })
}

// forget drops from memory the entries that are about to be deleted. None of them is unsynced.
func (l *Log) forget(first, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.newest); n > 0 {
		end := l.newest[n-1].Index
		l.newest = slices.DeleteFunc(l.newest, func(e *raft.Log) bool {
			return e.Index <= last && (e.Index >= first || last < end) // older entries go too, so that no gap is left
		})
	}
}

// inMemory finds an entry in memory, nil when it is not there.
func (l *Log) inMemory(index uint64) *raft.Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.newest) == 0 || index < l.newest[0].Index || index-l.newest[0].Index >= uint64(len(l.newest)) {
		return nil
	}
	return l.newest[index-l.newest[0].Index]
}
