package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/files"
)

var (
	// ErrBusy is returned by Compact while another is under way, or while the state is being replaced.
	ErrBusy = errors.New("the state file is being rewritten or replaced already")
	// ErrBehind is returned by Compact when it can't keep up with what changes: another time may be better.
	ErrBehind = errors.New("sessions change faster than they can be copied: there is too much to do")
)

const (
	compactSuffix = ".compact"
	catchUpRounds = 10 // without less to catch up on than before
)

// Compact rewrites the file without its free pages, which bbolt reuses but never releases. The machine works on
// meanwhile. Compact needs as much free disk space as the sessions take. If it fails, or ctx ends before the copy has
// replaced the file, the file is unchanged. If ctx ends later, the old file's space is released all at once rather than
// piece by piece. Compact returns the file's size before and after, in bytes, once the space has been released. It
// doesn't wait for that if the old file is still being sent to another node.
func (m *Machine) Compact(ctx context.Context) (before, after int64, err error) {
	c := &compaction{m: m, path: m.path + compactSuffix, done: make(chan struct{})}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, cancel)()
	if ctx.Err() != nil {
		cancel()
	}
	c.cancel = cancel
	if err := c.begin(); err != nil {
		cancel()
		return 0, 0, err
	}
	before = fileSize(c.from)
	if err := c.run(own); err != nil {
		c.end()
		return 0, 0, fmt.Errorf("compact state file %s: %w", m.path, err)
	}
	after = fileSize(c.to)
	readers := m.streamsOf(c.from)
	if len(readers) > 0 {
		go c.retire(own, readers)
	} else {
		c.retire(own, nil)
	}
	return before, after, c.uncertain
}

// A compaction makes a copy of the machine's file, and has it take the file's place.
type compaction struct {
	m      *Machine
	path   string // of the copy
	from   *bbolt.DB
	file   *os.File // that of from
	to     *bbolt.DB
	cancel context.CancelFunc // ends it; may be called at any time, and then the old file is closed at once
	done   chan struct{}      // closed when the old file is closed, or the copy given up

	all    int          // sessions to copy, as it began
	copied atomic.Int64 // of these

	uncertain error // why a crash may bring the old file back, which must then stay whole

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
	c.m.compacting, c.from, c.all = c, c.m.db, c.m.c.index.len()
	return nil
}

// Copied tells how many sessions a Compact that is under way has copied, and about how many there are; 0 and 0 without
// a Compact.
func (m *Machine) Copied() (copied, all int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.compacting == nil {
		return 0, 0
	}
	return int(m.compacting.copied.Load()), m.compacting.all
}

func (c *compaction) end() {
	c.cancel()
	c.m.mu.Lock()
	c.m.compacting = nil
	c.m.mu.Unlock()
	close(c.done)
}

// run makes the copy and replaces the file by it, at a moment when no flush changes either.
func (c *compaction) run(ctx context.Context) (err error) {
	if err := errors.Join(ctx.Err(), files.Remove(c.path)); err != nil {
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
			err = errors.Join(err, c.to.Close(), files.Remove(c.path))
		}
	}()
	if err := c.copySessions(ctx); err != nil {
		return err
	}
	if err := c.catchUp(ctx, c.take); err != nil {
		return err
	}
	c.m.flushMu.Lock()
	defer c.m.flushMu.Unlock()
	if err := c.repeat(ctx, c.changed, true); err != nil {
		return err
	}
	if err := c.copyMeta(); err != nil {
		return err
	}
	return c.swap(ctx)
}

// swap makes the copy the machine's file. It is called with flushMu held, so that no flush writes to the copy before
// the directory is synced. If the directory can't be synced, nobody knows which file a crash would leave, and the
// machine writes nothing more. Apply and reads go on meanwhile.
func (c *compaction) swap(ctx context.Context) error {
	m := c.m
	if err := c.rename(ctx); err != nil {
		return err
	}
	err := files.SyncDir(filepath.Dir(m.path))
	if err == nil {
		return nil
	}
	c.uncertain = fmt.Errorf("put the compacted state file in its place: %w", err)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = c.uncertain
		m.room.Broadcast()
		m.nudge() // so that the flusher reports the error
	}
	return nil
}

// rename gives the copy the name of the machine's file, and has the machine use it.
func (c *compaction) rename(ctx context.Context) error {
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
	return nil
}

// streamsOf are the streams that read a file.
func (m *Machine) streamsOf(db *bbolt.DB) (open []*stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s := range m.streams {
		if s.db == db {
			open = append(open, s)
		}
	}
	return open
}

// retire ends the compaction: it closes the old file when nobody reads it any more, and releases its space. It waits
// for the streams before it calls Close of bbolt: while that call waits for a stream, it also blocks reads that would
// otherwise learn at once that the file is closed.
func (c *compaction) retire(ctx context.Context, readers []*stream) {
	defer c.end()
	for _, s := range readers {
		<-s.done
	}
	// Errors don't matter: nothing has been written to the old file since it was replaced.
	_ = c.from.Close()
	if c.uncertain == nil {
		_ = boltfile.GiveBack(ctx, c.file)
	}
	_ = c.file.Close()
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
