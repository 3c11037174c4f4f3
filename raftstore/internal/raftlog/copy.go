package raftlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/files"
	"github.com/distcache/distcache/raftstore/internal/walfile"
)

// The most that is copied with one write.
const (
	copyEntries = 512
	copyBytes   = 1 << 20
)

// copy makes the copy and syncs it.
func (c *conversion) copy(ctx context.Context) (err error) {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	src, dst, done, err := c.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done(), files.SyncDir(c.dir)) }()
	if err := c.copyValues(src, dst, keys); err != nil {
		return err
	}
	if err := c.findEntries(ctx, src); err != nil {
		return err
	}
	var batch []*raft.Log
	size := 0
	for i := c.First; c.Entries > 0 && i <= c.Last; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := new(raft.Log)
		if err := src.GetLog(i, e); err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
		batch = append(batch, e)
		size += len(e.Data)
		c.Bytes += int64(len(e.Data))
		if i == c.Last || len(batch) == copyEntries || size >= copyBytes {
			if err := dst.StoreLogs(batch); err != nil {
				return err
			}
			batch, size = batch[:0], 0
		}
	}
	return nil
}

// verify reads the whole copy and compares it with the log.
func (c *conversion) verify(ctx context.Context) (err error) {
	src, dst, done, err := c.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	first, err := dst.FirstIndex()
	if err != nil {
		return err
	}
	last, err := dst.LastIndex()
	if err != nil {
		return err
	}
	if first != c.First || last != c.Last {
		return fmt.Errorf("the copy has entries %d to %d, not %d to %d", first, last, c.First, c.Last)
	}
	for _, key := range valuesKept {
		if same, err := sameValue(src, dst, key); err != nil || !same {
			return errors.Join(fmt.Errorf("the copy has another %s", key), err)
		}
	}
	for i := first; c.Entries > 0 && i <= last; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		var a, b raft.Log
		if err := errors.Join(src.GetLog(i, &a), dst.GetLog(i, &b)); err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
		if a.Index != i || b.Index != i || a.Term != b.Term || a.Type != b.Type || !bytes.Equal(a.Data, b.Data) ||
			!bytes.Equal(a.Extensions, b.Extensions) || !a.AppendedAt.Equal(b.AppendedAt) {
			return fmt.Errorf("the copy has another log entry %d", i)
		}
	}
	return nil
}

// open opens the log and its copy. done closes both.
func (c *conversion) open() (src, dst *disk, done func() error, err error) {
	src, err = openDisk(c.path(c.From, ""), Options{Kind: c.From})
	if err != nil {
		return nil, nil, nil, err
	}
	dst, err = openDisk(c.path(c.To, newSuffix), Options{Kind: c.To})
	if err != nil {
		return nil, nil, nil, errors.Join(err, src.Close())
	}
	return src, dst, func() error { return errors.Join(src.Close(), dst.Close()) }, nil
}

// findEntries finds the entries to copy: those after the last gap. A bbolt log has a gap after a snapshot was received.
// The snapshot replaces the entries before the gap.
func (c *conversion) findEntries(ctx context.Context, src *disk) error {
	first, err := src.FirstIndex()
	if err != nil {
		return err
	}
	last, err := src.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	begin := last
	for begin > first {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := src.GetLog(begin-1, new(raft.Log))
		if errors.Is(err, raft.ErrLogNotFound) {
			break
		}
		if err != nil {
			return fmt.Errorf("log entry %d: %w", begin-1, err)
		}
		begin--
	}
	if begin > first {
		newest, err := c.newest()
		if err != nil {
			return err
		}
		if newest < begin-1 {
			return fmt.Errorf("%w: entry %d is missing, and the newest snapshot covers entries up to %d only",
				boltfile.ErrDamaged, begin-1, newest)
		}
	}
	c.First, c.Last, c.Entries = begin, last, last-begin+1
	return nil
}

// valuesKept are the keys of all values that may be kept beside the entries: Raft's term and vote, and the ID of the
// server that owns the log.
var valuesKept = []string{"CurrentTerm", "LastVoteTerm", "LastVoteCand", string(ownerKey)}

// copyValues copies the values that are kept beside the entries. It refuses a key that it doesn't know, rather than
// lose the value.
func (c *conversion) copyValues(src, dst *disk, keys []string) (err error) {
	for _, key := range keys {
		if !slices.Contains(valuesKept, key) {
			return fmt.Errorf("the log has a value %q, which this version does not know how to convert", key)
		}
		v, err := src.Get([]byte(key))
		if err == nil {
			err = dst.Set([]byte(key), v)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	c.Term, err = src.term()
	return err
}

// sameValue tells whether two logs have the same value under a key.
func sameValue(src, dst *disk, key string) (bool, error) {
	a, err := src.Get([]byte(key))
	b, err2 := dst.Get([]byte(key))
	return bytes.Equal(a, b), errors.Join(unlessMissing(err), unlessMissing(err2))
}

// keys are the keys of the values that are kept beside the entries. The log must not be open.
func (c *conversion) keys() ([]string, error) {
	if c.From == WAL {
		return walfile.Keys(c.path(c.From, ""))
	}
	return boltfile.Keys(c.path(c.From, ""), "conf")
}
