package raftstore

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

// openLog opens the file of the Raft log and votes.
func openLog(dir string) (*raftboltdb.BoltStore, error) {
	path := filepath.Join(dir, logFile)
	db, err := boltfile.Open(path) // checks it first: the library would map whatever is there
	if err != nil {
		return nil, fmt.Errorf("raft log: %w", err)
	}
	if err := db.Close(); err != nil {
		return nil, fmt.Errorf("raft log: %w", err)
	}
	var s *raftboltdb.BoltStore
	err = boltfile.Guard(path, func() (err error) {
		s, err = raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: boltfile.Options()})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("raft log: %w", err)
	}
	return s, nil
}

// A watchedLog is a Raft log whose writes are timed and counted: Raft itself waits for a hung disk for ever
// (hashicorp/raft#503), and the node would neither work nor be replaced.
type watchedLog struct {
	raft.LogStore
	limit    time.Duration
	counters *counters
	fail     func(error)

	began atomic.Int64 // unix ns of the write under way, 0 when there is none
	bytes atomic.Int64 // of entries stored since the node started
	stop  chan struct{}
	once  sync.Once
	done  chan struct{}
}

func watchLog(s raft.LogStore, cfg Config, fail func(error)) *watchedLog {
	w := &watchedLog{LogStore: s, limit: cfg.DiskTimeout, counters: cfg.counters, fail: fail, stop: make(chan struct{}), done: make(chan struct{})}
	go w.watch()
	return w
}

func (w *watchedLog) close() {
	w.once.Do(func() { close(w.stop) })
	<-w.done
}

func (w *watchedLog) watch() {
	defer close(w.done)
	t := time.NewTicker(w.limit / 10)
	defer t.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-t.C:
		}
		if began := w.began.Load(); began != 0 {
			if d := time.Since(time.Unix(0, began)); d > w.limit {
				w.fail(fmt.Errorf("%w: a write to the log has not ended after %s", ErrDisk, d.Round(time.Second)))
				return
			}
		}
	}
}

// StoreLog stores one entry.
func (w *watchedLog) StoreLog(l *raft.Log) error { return w.StoreLogs([]*raft.Log{l}) }

// StoreLogs stores entries and syncs them.
func (w *watchedLog) StoreLogs(ls []*raft.Log) error {
	began := time.Now()
	w.began.Store(began.UnixNano())
	defer w.began.Store(0)
	err := w.LogStore.StoreLogs(ls)
	if err != nil {
		w.fail(fmt.Errorf("%w: write to the log: %w", ErrDisk, err))
		return err
	}
	w.counters.logNanos.add(int64(time.Since(began)))
	for _, l := range ls {
		w.bytes.Add(int64(len(l.Data)))
		w.counters.logBytes.Add(uint64(len(l.Data)))
	}
	return nil
}

// IsMonotonic passes on what the store says of itself.
func (w *watchedLog) IsMonotonic() bool {
	m, ok := w.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}
