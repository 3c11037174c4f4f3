package boltlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/files"
)

// A step is a point that a Compact has reached.
type step int

const (
	atPiece   step = iota // is about to copy some more
	atCopied              // the copy is whole and synced; writes are held back
	atRenamed             // it has the log's name, which is not synced
	atSwapped             // it is the log, and writes go on
)

// Compact makes the file as small as what the log holds: it makes a copy, which takes the file's place. It returns the
// file's size before and after. Reads go on meanwhile, and so do writes, but for a moment at the end that does not
// depend on how large the log is, and when they come faster than they can be copied.
//
// The copy is synced before it takes the file's place, and nothing is written to it before that is synced too, so that
// a crash leaves one of the two, with all that was ever stored. With ctx cancelled, or after an error, the log goes on
// with its old file, unless the copy has taken its place already: then only the old file's room is given back in one go
// instead of little by little. The exception is an error of the very last step, when it can't be known which of the two a crash
// would leave: then the log takes no more writes, and they return that error. ErrBusy is returned while another Compact
// is under way, and os.ErrClosed after Close.
func (l *Log) Compact(ctx context.Context) (before, after int64, err error) {
	return l.compact(ctx, pieceBytes, func(step) error { return nil })
}

// compact is Compact. reached is called at each step, and its error is as one of that step.
func (l *Log) compact(ctx context.Context, piece int64, reached func(step) error) (before, after int64, err error) {
	if !l.compacting.TryLock() {
		return 0, 0, ErrBusy
	}
	defer l.compacting.Unlock()
	if l.ctx.Err() != nil {
		return 0, 0, fmt.Errorf("compact %s: %w", l.path, os.ErrClosed)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()

	before = l.Size()
	if err := l.replace(ctx, piece, reached); err != nil {
		return before, l.Size(), fmt.Errorf("compact %s: %w", l.path, err)
	}
	return before, l.Size(), nil
}

// replace puts a copy of the log in its place.
func (l *Log) replace(ctx context.Context, piece int64, reached func(step) error) error {
	name := l.path + copySuffix
	if err := files.Remove(name); err != nil {
		return err
	}
	// It is opened under the name that it will have, which is the one for errors.
	to, err := openStore(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, l.path, func() error { return nil })
	if err != nil {
		return errors.Join(err, files.Remove(name))
	}
	l.follow(true)
	old := l.store
	c := &copier{log: l, from: old, to: to, piece: piece, reached: reached}
	if err := c.run(ctx); err != nil {
		l.follow(false)
		return errors.Join(err, to.Close(), files.Remove(name))
	}
	err = l.swap(ctx, name, to, reached)
	l.changes = nil
	swapped := l.store == to
	l.writing.Unlock()
	if !swapped {
		return errors.Join(err, to.Close(), files.Remove(name))
	}
	if err == nil {
		err = reached(atSwapped)
	}
	if err == nil {
		err = boltfile.GiveBack(ctx, old.file)
	}
	return errors.Join(err, old.Close())
}

// follow begins, or ends, the noting of changes. At first everything that is kept beside the entries counts as changed.
func (l *Log) follow(on bool) {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.changes = nil
	if on {
		l.changes = newChanges()
		for key := range l.holds.keys {
			l.changes.set(key)
		}
	}
}

// swap makes the copy the log, while writes are held back.
func (l *Log) swap(ctx context.Context, name string, to *store, reached func(step) error) error {
	if err := errors.Join(ctx.Err(), reached(atCopied)); err != nil {
		return err
	}
	if err := os.Rename(name, l.path); err != nil {
		return err
	}
	l.mu.Lock()
	l.store = to
	l.mu.Unlock()
	err := reached(atRenamed)
	if err == nil {
		err = files.SyncDir(filepath.Dir(l.path))
	}
	if err != nil {
		l.refused = fmt.Errorf("the log was compacted, and the directory could not be synced: %w", err)
	}
	return l.refused
}
