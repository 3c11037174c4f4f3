package raftlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/raftstore/internal/files"
)

// While a log is converted there are, in this order,
//
//	raft.db                   the log
//	raft.db, wal.new          the copy, perhaps not whole
//	raft.db.old, wal.new      the copy, whole: from here on it is the log
//	raft.db.old, wal
//	wal
//
// and the same with exchanged names for the other direction. So the names tell how far an interrupted conversion has
// come, and which of the two is the log.
const (
	newSuffix = ".new"
	oldSuffix = ".old"
)

// A Conversion is what Convert has found and done.
type Conversion struct {
	From    Kind
	To      Kind
	Done    bool   // false: the log was of that kind already
	Entries uint64 // copied
	First   uint64 // index of the first one, 0 when there is none
	Last    uint64
	Bytes   int64  // of their data
	Term    uint64 // the node's current one
}

// Convert converts the log in a data directory to the given kind. The node must not be running. Convert may be
// interrupted at any moment, also by a crash: the directory then has one whole log, of the old or the new kind, and the
// next Convert or Open removes the leftovers. newest returns the index of the newest snapshot. The error is ErrForeign
// when the directory has no log or two logs; other errors come from the files.
func Convert(ctx context.Context, dir string, to Kind, newest func() (uint64, error)) (Conversion, error) {
	c := conversion{Conversion: Conversion{From: to.other(), To: to}, dir: dir, newest: newest}
	if err := finishConversion(dir); err != nil {
		return c.Conversion, err
	}
	if done, err := c.alreadyDone(); err != nil || done {
		return c.Conversion, err
	}
	for _, step := range c.steps(ctx) {
		if err := step(); err != nil {
			if ok, _ := files.Exists(c.path(c.From, "")); ok {
				err = errors.Join(err, os.RemoveAll(c.path(to, newSuffix)))
			}
			return c.Conversion, fmt.Errorf("convert the raft log: %w", err)
		}
	}
	c.Done = true
	return c.Conversion, nil
}

// A conversion is a Convert under way.
type conversion struct {
	Conversion
	dir    string
	newest func() (uint64, error) // the index of the newest snapshot
}

func (c *conversion) path(k Kind, suffix string) string {
	return filepath.Join(c.dir, k.File()+suffix)
}

// alreadyDone tells whether the log is of the wanted kind.
func (c *conversion) alreadyDone() (done bool, err error) {
	from, err := files.Exists(c.path(c.From, ""))
	if err != nil {
		return false, err
	}
	to, err := files.Exists(c.path(c.To, ""))
	switch {
	case err != nil:
		return false, err
	case from && to:
		return false, twoLogs(c.dir)
	case !from && !to:
		return false, fmt.Errorf("%w: %s has no raft log", ErrForeign, c.dir)
	}
	return to, nil
}

// steps are the steps of a conversion, in order. After a crash in any of them finishConversion restores one of the two
// logs.
func (c *conversion) steps(ctx context.Context) []func() error {
	return []func() error{
		func() error { return c.copy(ctx) },
		func() error { return c.verify(ctx) },
		func() error { return c.own() },
		func() error { return c.rename(c.path(c.From, ""), c.path(c.From, oldSuffix)) },
		func() error { return c.rename(c.path(c.To, newSuffix), c.path(c.To, "")) },
		func() error { return c.remove(c.path(c.From, oldSuffix)) },
	}
}

// finishConversion completes or undoes an interrupted Convert.
func finishConversion(dir string) error {
	for _, from := range Kinds {
		c := conversion{Conversion: Conversion{From: from, To: from.other()}, dir: dir}
		if err := c.finish(); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversion) finish() error {
	old, err := files.Exists(c.path(c.From, oldSuffix))
	if err != nil {
		return err
	}
	if !old {
		return c.remove(c.path(c.To, newSuffix))
	}
	to, err := files.Exists(c.path(c.To, ""))
	if err != nil {
		return err
	}
	if !to {
		err := c.rename(c.path(c.To, newSuffix), c.path(c.To, ""))
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %s has %s, left by a conversion, but the converted log is missing",
				ErrForeign, c.dir, c.From.File()+oldSuffix)
		}
		if err != nil {
			return err
		}
	}
	return c.remove(c.path(c.From, oldSuffix))
}

func (c *conversion) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return files.SyncDir(c.dir)
}

func (c *conversion) remove(path string) error {
	if ok, err := files.Exists(path); err != nil || !ok {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return files.SyncDir(c.dir)
}

// own gives the copy to the user who owns the log, since root may run the conversion.
func (c *conversion) own() error {
	uid, gid, err := c.owner()
	if err != nil {
		return err
	}
	return filepath.WalkDir(c.path(c.To, newSuffix), func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

// owner is the user and group that own the log.
func (c *conversion) owner() (uid, gid int, err error) {
	var st unix.Stat_t
	err = unix.Stat(c.path(c.From, ""), &st)
	return int(st.Uid), int(st.Gid), err
}
