// Package boltlog keeps the Raft log and the votes in one bbolt file, through hashicorp/raft-boltdb.
//
// A bbolt file never shrinks: the space of deleted entries is reused for later entries. Open compacts a file that is
// more than half free.
package boltlog

import (
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/files"
)

// The buckets of raft-boltdb's file. The keys of the first are indexes, 8 bytes, big-endian.
const (
	logsBucket = "logs"
	confBucket = "conf"
	indexSize  = 8
)

// ErrForeign matches the error for a bbolt file that is no Raft log.
var ErrForeign = errors.New("not a Raft log")

// Options are how a log is opened.
type Options struct {
	Compact bool         // a file that is more than half free
	Logger  hclog.Logger // default: none
}

// A Log is an open log. Any number of goroutines may use it.
type Log struct {
	*raftboltdb.BoltStore
	path string
}

// Open opens the log at path, or makes one, with mode 0600. A file that is damaged (boltfile.ErrDamaged) or holds other
// things (ErrForeign) is left as it is. That a file can't be compacted is only logged.
func Open(path string, opts Options) (*Log, error) {
	size, used, err := check(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if opts.Compact && freeIn(size, used) > 0 {
		if err := compact(path, opts.Logger); err != nil {
			return nil, err
		}
	}
	l := &Log{path: path}
	err = boltfile.With(path, func(o *bbolt.Options) (err error) {
		l.BoltStore, err = raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: o})
		return err
	})
	if err != nil {
		return nil, err
	}
	// This process holds the log's lock, so nobody else is writing the copy.
	if err := files.Remove(path + copySuffix); err != nil {
		return nil, errors.Join(fmt.Errorf("left over from compacting the log: %w", err), l.Close())
	}
	return l, nil
}

// check reads the whole file and tells how many bytes of pages it has, and how many of them are in use.
func check(path string) (size, used int64, err error) {
	buckets := make(map[string]bool)
	size, used, err = boltfile.Measure(path, func(bucket, key, value []byte) error {
		switch {
		case bucket == nil && value == nil:
			buckets[string(key)] = true
			if name := string(key); name != logsBucket && name != confBucket {
				return foreign("it has a bucket %q", name)
			}
		case bucket == nil || value == nil:
			return foreign("it has something other than entries and values")
		case string(bucket) == logsBucket && len(key) != indexSize:
			return foreign("it has an entry without an index")
		}
		return nil
	})
	// The two buckets are made in one transaction. A crash before that leaves a file with none.
	if err == nil && len(buckets) == 1 {
		err = fmt.Errorf("%s: %w", path, foreign("it has one bucket only"))
	}
	return size, used, err
}

func foreign(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrForeign, fmt.Sprintf(format, args...))
}

// trimEntries are deleted in one write.
const trimEntries = 64

// DeleteRange deletes those entries from first to last that exist. Entries at the front of the log are deleted in
// several writes, so that a StoreLogs meanwhile waits for one of them only; after a crash the log just begins later.
// Entries at the end are deleted in one write, since a crash between two writes could leave a gap.
func (l *Log) DeleteRange(first, last uint64) error {
	end, err := l.LastIndex()
	if err != nil {
		return err
	}
	for last < end {
		front, err := l.FirstIndex() // it is behind a gap, perhaps
		if err != nil {
			return err
		}
		if front < first || front > last || last-front < trimEntries {
			break
		}
		if err := l.BoltStore.DeleteRange(front, front+trimEntries-1); err != nil {
			return err
		}
	}
	return l.BoltStore.DeleteRange(first, last)
}
