package raftstore

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/parallel"
)

// A watchedLog is a Raft log, with its votes, whose writes are timed and counted. Raft itself waits for a hung disk for
// ever (hashicorp/raft#503): the node would neither work nor be replaced. An error of the disk ends the node.
type watchedLog struct {
	raft.LogStore
	stable   raft.StableStore
	limit    time.Duration
	counters *counters
	fail     func(error)

	began   atomic.Pointer[time.Time] // of the write under way, nil when there is none
	bytes   atomic.Int64              // of entries after the last snapshot when the node started, and of those stored since
	started atomic.Bool               // Raft has read what was there
	broken  atomic.Pointer[error]     // the first error of the disk, or damage that was read
	stop    chan struct{}
	once    sync.Once
	done    chan struct{}
}

func watchLog(files logFiles, cfg Config, fail func(error)) *watchedLog {
	w := &watchedLog{
		LogStore: files,
		stable:   files,
		limit:    cfg.DiskTimeout,
		counters: cfg.counters,
		fail:     fail,
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}
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
		if began := w.began.Load(); began != nil {
			if d := time.Since(*began); d > w.limit {
				w.fail(fmt.Errorf("%w: a write to the log has not ended after %s", ErrDisk, d.Round(time.Second)))
				return
			}
		}
	}
}

// timed runs a write. Raft makes one at a time.
func (w *watchedLog) timed(write func() error) error {
	began := time.Now()
	w.began.Store(&began)
	defer w.began.Store(nil)
	if err := write(); err != nil {
		w.breaks(fmt.Errorf("%w: write to the log: %w", ErrDisk, err))
		return err
	}
	w.counters.logNanos.add(int64(time.Since(began)))
	return nil
}

// breaks ends the node for an error of the disk, unless the log is being closed.
func (w *watchedLog) breaks(err error) {
	w.broken.CompareAndSwap(nil, &err)
	select {
	case <-w.stop:
	default:
		w.fail(err)
	}
}

// why is what broke the log, nil when nothing did.
func (w *watchedLog) why() error {
	if err := w.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// endRaft ends the goroutine of Raft's that is not to come back from an error, because it would panic. What waits for that
// goroutine to end, as closing the node does, need not wait. When Raft is being started it has the caller's goroutine, and
// does panic; startRaft knows of that.
func (w *watchedLog) endRaft() {
	if w.started.Load() {
		runtime.Goexit()
	}
}

// GetLog reads an entry, and ends the node when the disk has changed it: a leader would pass it on. Raft reads all those
// after the last snapshot when it starts: they count as grown.
func (w *watchedLog) GetLog(index uint64, l *raft.Log) error {
	if err := w.LogStore.GetLog(index, l); err != nil {
		if errors.Is(err, ErrDisk) {
			w.breaks(err)
			w.endRaft()
		}
		return err
	}
	if !w.started.Load() {
		w.bytes.Add(int64(len(l.Data)))
	}
	return nil
}

// StoreLog stores one entry.
func (w *watchedLog) StoreLog(l *raft.Log) error { return w.StoreLogs([]*raft.Log{l}) }

// StoreLogs stores entries and syncs them.
func (w *watchedLog) StoreLogs(ls []*raft.Log) error {
	err := w.timed(func() error { return w.LogStore.StoreLogs(ls) })
	if err != nil {
		return err
	}
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

// votes is the log as Raft's store of terms and votes. These are written when all entries are.
type votes struct {
	w    *watchedLog
	late *parallel.Log
}

// Get reads a value.
func (v votes) Get(key []byte) ([]byte, error) { return v.w.stable.Get(key) }

// GetUint64 reads a number.
func (v votes) GetUint64(key []byte) (uint64, error) { return v.w.stable.GetUint64(key) }

// Set stores a value and syncs it.
func (v votes) Set(key, value []byte) error {
	return v.written(func() error { return v.w.stable.Set(key, value) })
}

// SetUint64 stores a number and syncs it.
func (v votes) SetUint64(key []byte, value uint64) error {
	return v.written(func() error { return v.w.stable.SetUint64(key, value) })
}

// written does not come back from an error, see endRaft.
func (v votes) written(write func() error) error {
	err := v.late.Drain()
	if err == nil {
		err = v.w.timed(write)
	}
	if err != nil {
		v.w.endRaft()
	}
	return err
}
