package raftstore

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/distcache/distcache/raftstore/internal/files"
	"github.com/distcache/distcache/raftstore/internal/raftlog"
)

var errPower = errors.New("the process is gone")

// A simDisk holds a node's Raft log and votes in memory: what was synced, which outlives the processes that wrote it.
// It is hung from a file of the log's name in the node's directory. When that file is gone, so is what was on the disk.
type simDisk struct {
	mu      sync.Mutex
	changed *sync.Cond
	rng     *rand.Rand
	latency time.Duration // of a write
	hung    bool
	logs    []raft.Log // by index; there may be gaps, as behind a snapshot
	stable  map[string][]byte
}

func newSimDisk(seed uint64) *simDisk {
	d := &simDisk{rng: rand.New(rand.NewPCG(seed, 'd')), stable: map[string][]byte{}}
	d.changed = sync.NewCond(&d.mu)
	return d
}

// hang has no write end, or lets them.
func (d *simDisk) hang(on bool) {
	d.mu.Lock()
	d.hung = on
	d.mu.Unlock()
	d.changed.Broadcast()
}

func (d *simDisk) isHung() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hung
}

// A diskImage is what a disk holds at a moment.
type diskImage struct {
	logs   []raft.Log
	stable map[string][]byte
}

func (d *simDisk) image() diskImage {
	d.mu.Lock()
	defer d.mu.Unlock()
	stable := map[string][]byte{}
	for k, v := range d.stable {
		stable[k] = v
	}
	return diskImage{slices.Clone(d.logs), stable}
}

func (d *simDisk) restore(i diskImage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logs, d.stable = slices.Clone(i.logs), map[string][]byte{}
	for k, v := range i.stable {
		d.stable[k] = v
	}
}

// open gives a process the disk.
func (d *simDisk) open(life *diskLife, path string) (raftlog.Files, error) {
	there, err := files.Exists(path)
	if err != nil {
		return nil, err
	}
	if !there {
		if err := os.WriteFile(path, []byte("in memory\n"), 0o600); err != nil {
			return nil, err
		}
		d.restore(diskImage{})
	}
	return life, nil
}

// A diskLife is the disk as one process has it. It implements raftlog.Files.
type diskLife struct {
	d    *simDisk
	dead bool // guarded by d.mu
}

// die has everything fail from now on. A write under way may have got to the disk or not, as a whole.
func (l *diskLife) die() {
	l.d.mu.Lock()
	l.dead = true
	l.d.mu.Unlock()
	l.d.changed.Broadcast()
}

// write carries out a write as a disk does: after a while, or never.
func (l *diskLife) write(f func()) error {
	d := l.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.latency > 0 && !l.dead {
		wait := time.Duration(d.rng.Int64N(int64(d.latency)))
		d.mu.Unlock()
		time.Sleep(wait)
		d.mu.Lock()
	}
	began := !l.dead
	for d.hung && !l.dead {
		d.changed.Wait()
	}
	if l.dead {
		if began && d.rng.IntN(2) == 0 {
			f()
		}
		return errPower
	}
	f()
	return nil
}

func (l *diskLife) read(f func() error) error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if l.dead {
		return errPower
	}
	return f()
}

// Close is raftlog.Files'.
func (l *diskLife) Close() error { return nil }

// at is where the entry with an index is, or would be.
func (d *simDisk) at(index uint64) (int, bool) {
	return slices.BinarySearchFunc(d.logs, index, func(e raft.Log, index uint64) int { return cmp.Compare(e.Index, index) })
}

// FirstIndex is raftlog.Files'.
func (l *diskLife) FirstIndex() (index uint64, err error) {
	err = l.read(func() error {
		if len(l.d.logs) > 0 {
			index = l.d.logs[0].Index
		}
		return nil
	})
	return index, err
}

// LastIndex is raftlog.Files'.
func (l *diskLife) LastIndex() (index uint64, err error) {
	err = l.read(func() error {
		if n := len(l.d.logs); n > 0 {
			index = l.d.logs[n-1].Index
		}
		return nil
	})
	return index, err
}

// GetLog is raftlog.Files'.
func (l *diskLife) GetLog(index uint64, e *raft.Log) error {
	return l.read(func() error {
		i, ok := l.d.at(index)
		if !ok {
			return raft.ErrLogNotFound
		}
		*e = l.d.logs[i]
		e.Data, e.Extensions = slices.Clone(e.Data), slices.Clone(e.Extensions)
		return nil
	})
}

// StoreLog is raftlog.Files'.
func (l *diskLife) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs is raftlog.Files'.
func (l *diskLife) StoreLogs(es []*raft.Log) error {
	return l.write(func() {
		for _, e := range es {
			c := *e
			c.Data, c.Extensions = slices.Clone(e.Data), slices.Clone(e.Extensions)
			if i, ok := l.d.at(e.Index); ok {
				l.d.logs[i] = c
			} else {
				l.d.logs = slices.Insert(l.d.logs, i, c)
			}
		}
	})
}

// DeleteRange is raftlog.Files'.
func (l *diskLife) DeleteRange(first, last uint64) error {
	return l.write(func() {
		from, _ := l.d.at(first)
		to, _ := l.d.at(last + 1)
		l.d.logs = slices.Delete(l.d.logs, from, max(from, to))
	})
}

// Set is raftlog.Files'.
func (l *diskLife) Set(key, value []byte) error {
	return l.write(func() { l.d.stable[string(key)] = slices.Clone(value) })
}

// Get is raftlog.Files'.
func (l *diskLife) Get(key []byte) (value []byte, err error) {
	err = l.read(func() error {
		v, ok := l.d.stable[string(key)]
		if !ok {
			return raftboltdb.ErrKeyNotFound
		}
		value = slices.Clone(v)
		return nil
	})
	return value, err
}
