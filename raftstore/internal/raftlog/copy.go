package raftlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/files"
	"github.com/distcache/distcache/raftstore/internal/walfile"
)

// Entries are copied some at a time.
const (
	copyEntries = 512
	copyBytes   = 1 << 20
)

// copy makes the copy, synced.
func (c *conversion) copy(ctx context.Context) (err error) {
	there, err := c.keys()
	if err != nil {
		return err
	}
	src, dst, done, err := c.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done(), files.SyncDir(c.dir)) }()
	if err := c.copyVotes(src, dst, there); err != nil {
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

// verify reads the copy again and holds it against the log.
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
	for _, v := range votesKept {
		if same, err := v.same(src, dst); err != nil || !same {
			return errors.Join(fmt.Errorf("the copy has another %s", v.name), err)
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

// open opens the log and its copy, which done closes.
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

// findEntries finds what is to be copied: the entries up to the last without a gap. A bbolt log has one after a
// snapshot was received, and what is before it counts no more.
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
			return fmt.Errorf("%w: there is no entry %d, and the newest snapshot has what was before %d",
				boltfile.ErrDamaged, begin-1, newest+1)
		}
	}
	c.First, c.Last, c.Entries = begin, last, last-begin+1
	return nil
}

// A vote is one of the values that Raft keeps beside the log. The kinds of log write numbers differently.
type vote struct {
	name   string
	number bool
}

var votesKept = []vote{
	{"CurrentTerm", true}, {"LastVoteTerm", true}, {"LastVoteCand", false}, {string(ownerKey), false},
}

// copyVotes copies what is there beside the log, all of it.
func (c *conversion) copyVotes(src, dst *disk, there map[string]bool) (err error) {
	for _, v := range votesKept {
		if !there[v.name] {
			continue
		}
		delete(there, v.name)
		if err := v.copy(src, dst); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	for name := range there {
		return fmt.Errorf("the log has a value %q, which this version does not know how to convert", name)
	}
	c.Term, err = Number(src, "CurrentTerm")
	return err
}

func (v vote) copy(src, dst *disk) error {
	if v.number {
		n, err := src.GetUint64([]byte(v.name))
		if err != nil {
			return err
		}
		return dst.SetUint64([]byte(v.name), n)
	}
	b, err := src.Get([]byte(v.name))
	if err != nil {
		return err
	}
	return dst.Set([]byte(v.name), b)
}

func (v vote) same(src, dst *disk) (bool, error) {
	if v.number {
		a, err := Number(src, v.name)
		b, err2 := Number(dst, v.name)
		return a == b, errors.Join(err, err2)
	}
	a, err := src.Get([]byte(v.name))
	b, err2 := dst.Get([]byte(v.name))
	return bytes.Equal(a, b), errors.Join(unlessMissing(err), unlessMissing(err2))
}

// Number reads a number kept beside the log, 0 when it isn't there.
func Number(f raft.StableStore, name string) (uint64, error) {
	n, err := f.GetUint64([]byte(name))
	return n, unlessMissing(err)
}

func unlessMissing(err error) error {
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return nil
	}
	return err
}

// keys are the names of what is kept beside the log, which is not open.
func (c *conversion) keys() (map[string]bool, error) {
	var keys []string
	var err error
	if c.From == WAL {
		keys, err = walfile.Keys(c.path(c.From, ""))
	} else {
		keys, err = boltfile.Keys(c.path(c.From, ""), "conf")
	}
	there := make(map[string]bool)
	for _, k := range keys {
		there[k] = true
	}
	return there, err
}
