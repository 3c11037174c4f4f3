package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

// ErrBusy is returned by Compact while another is under way, or while the state is being replaced.
var ErrBusy = errors.New("the state file is being rewritten or replaced already")

const (
	compactSuffix = ".compact"
	copyBytes     = 1 << 20 // of sessions in a transaction of the copy: others get at the disk in between
	catchUpKeys   = 256     // changed meanwhile, with which flushes may be kept waiting
	catchUpRounds = 10
)

// Compact rewrites the file without its free pages, which bbolt uses again but never gives back. It goes on beside
// everything else, and needs as much room as the sessions take. If it fails or ctx ends, the file is as it was. It
// returns the file's size in bytes, before and after.
func (m *Machine) Compact(ctx context.Context) (before, after int64, err error) {
	c := &compaction{m: m, path: m.path + compactSuffix, done: make(chan struct{})}
	ctx, c.cancel = context.WithCancel(ctx)
	defer c.cancel()
	if err := c.begin(); err != nil {
		return 0, 0, err
	}
	before = fileSize(c.from)
	if err := c.run(ctx); err != nil {
		c.end()
		return 0, 0, fmt.Errorf("compact state file %s: %w", m.path, err)
	}
	after = fileSize(c.to)
	go func() {
		m.retire(c.from, c.file)
		c.end()
	}()
	return before, after, nil
}

// A compaction makes a copy of the machine's file, and has it take the file's place.
type compaction struct {
	m      *Machine
	path   string // of the copy
	from   *bbolt.DB
	file   *os.File // that of from
	to     *bbolt.DB
	cancel context.CancelFunc
	done   chan struct{} // closed when the old file is closed, or the copy given up

	changed [][keySize]byte // sessions that flushes have written or deleted since the copy began; under flushMu
}

func (c *compaction) begin() error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	switch {
	case c.m.err != nil:
		return c.m.err
	case c.m.replacing || c.m.compacting != nil:
		return ErrBusy
	}
	c.m.compacting, c.from = c, c.m.db
	return nil
}

func (c *compaction) end() {
	c.m.mu.Lock()
	c.m.compacting = nil
	c.m.mu.Unlock()
	close(c.done)
}

// run makes the copy, and puts it in its place while no flush can change either.
func (c *compaction) run(ctx context.Context) (err error) {
	if err := removeFile(c.path); err != nil {
		return err
	}
	if c.to, err = openFile(c.path, true); err != nil {
		return err
	}
	defer func() {
		c.m.flushMu.Lock()
		c.m.journal = nil
		c.m.flushMu.Unlock()
		if err != nil {
			err = errors.Join(err, c.to.Close(), removeFile(c.path))
		}
	}()
	if err := c.copySessions(ctx); err != nil {
		return err
	}
	for range catchUpRounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		changed := c.take()
		if err := c.repeat(changed); err != nil {
			return err
		}
		if len(changed) <= catchUpKeys {
			break
		}
	}
	c.m.flushMu.Lock()
	defer c.m.flushMu.Unlock()
	if err := c.repeat(c.changed); err != nil {
		return err
	}
	if err := c.copyMeta(); err != nil {
		return err
	}
	return c.swap(ctx)
}

// copySessions copies what is in the file as it is now. What changes from now on is noted.
func (c *compaction) copySessions(ctx context.Context) error {
	c.m.flushMu.Lock()
	c.m.journal = c
	tx, err := c.from.Begin(false)
	c.m.flushMu.Unlock()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	cur := tx.Bucket(sessionsBucket).Cursor()
	k, v := cur.First()
	for k != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := c.put(func(b *bbolt.Bucket) (err error) {
			for n := 0; k != nil && n < copyBytes && err == nil; k, v = cur.Next() {
				n += len(v)
				err = b.Put(k, v)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// put writes to the copy's sessions.
func (c *compaction) put(f func(*bbolt.Bucket) error) error {
	return c.to.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(sessionsBucket)
		b.FillPercent = fillPercent
		return f(b)
	})
}

// flushed notes what a flush has changed. Called with flushMu held.
func (c *compaction) flushed(set *flushSet) {
	for _, w := range set.writes {
		c.changed = append(c.changed, w.key)
	}
	c.changed = append(c.changed, set.deletes...)
}

// take gives what has changed, and begins a new list of it.
func (c *compaction) take() [][keySize]byte {
	c.m.flushMu.Lock()
	defer c.m.flushMu.Unlock()
	changed := c.changed
	c.changed = nil
	return changed
}

// repeat makes these sessions in the copy what they are in the file. One that changes after that is in the next list.
func (c *compaction) repeat(changed [][keySize]byte) error {
	return c.from.View(func(tx *bbolt.Tx) error {
		sessions := tx.Bucket(sessionsBucket)
		for len(changed) > 0 {
			some := changed[:min(len(changed), copyBytes>>10)]
			changed = changed[len(some):]
			err := c.put(func(b *bbolt.Bucket) (err error) {
				for _, k := range some {
					if v := sessions.Get(k[:]); v != nil {
						err = errors.Join(err, b.Put(k[:], v))
					} else {
						err = errors.Join(err, b.Delete(k[:]))
					}
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *compaction) copyMeta() error {
	return c.from.View(func(from *bbolt.Tx) error {
		return c.to.Update(func(to *bbolt.Tx) error {
			b := to.Bucket(metaBucket)
			return from.Bucket(metaBucket).ForEach(b.Put)
		})
	})
}

// swap makes the copy the machine's file. Called with flushMu held. Should it not be certain which of the two a crash
// would leave, nothing more may be written to either.
func (c *compaction) swap(ctx context.Context) error {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(m.err, ctx.Err()); err != nil {
		return err
	}
	old, err := os.OpenFile(m.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := os.Rename(c.path, m.path); err != nil {
		return errors.Join(err, old.Close())
	}
	m.db, c.file = c.to, old
	if err := syncDir(filepath.Dir(m.path)); err != nil {
		m.err = fmt.Errorf("put the compacted state file in its place: %w", err)
		m.room.Broadcast()
		m.nudge() // to say so
	}
	return nil
}

// retire closes a file that is no longer the machine's when nobody reads it any more, and gives its room back. Streams
// come first: while bbolt waits for one, it keeps even those waiting who only want to hear that the file is closed.
func (m *Machine) retire(db *bbolt.DB, file *os.File) {
	m.mu.Lock()
	var open []*stream
	for s := range m.streams {
		if s.db == db {
			open = append(open, s)
		}
	}
	m.mu.Unlock()
	for _, s := range open {
		<-s.done
	}
	// Nothing was written to it since it was replaced: errors don't matter.
	_ = db.Close()
	_ = boltfile.GiveBack(file)
}

// stopCompacting ends a compaction that is under way, and waits for it.
func (m *Machine) stopCompacting() {
	m.mu.Lock()
	c := m.compacting
	m.mu.Unlock()
	if c != nil {
		c.cancel()
		<-c.done
	}
}

func fileSize(db *bbolt.DB) (size int64) {
	_ = db.View(func(tx *bbolt.Tx) error { size = tx.Size(); return nil })
	return size
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
