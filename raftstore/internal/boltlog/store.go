package boltlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

// The buckets of raft-boltdb's file. The keys of the first are indexes, 8 bytes, big-endian.
const (
	logsBucket = "logs"
	confBucket = "conf"
	indexSize  = 8
)

// How often, and how long, a lock is waited for that another process has: it may be ending.
const (
	lockTries = 10
	lockPause = 10 * time.Millisecond
)

// A store is an open file.
type store struct {
	*raftboltdb.BoltStore
	file *os.File
}

// openStore opens a file, which errors call by the given name. check is called when the lock is held and nothing has
// been read or written.
func openStore(path string, flags int, name string, check func() error) (*store, error) {
	var s store
	var refused error
	err := boltfile.With(path, func(o *bbolt.Options) (err error) {
		o.OpenFile = func(string, int, os.FileMode) (_ *os.File, err error) {
			s.file, err = lockFile(path, flags, name)
			if err != nil {
				return nil, err
			}
			if refused = check(); refused != nil {
				return nil, refused
			}
			return s.file, nil
		}
		s.BoltStore, err = raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: o})
		return err
	})
	if err == nil {
		return &s, nil
	}
	if s.file != nil {
		_ = s.file.Close() // bbolt has done so, unless it panicked
	}
	if refused != nil {
		return nil, refused // it says which file
	}
	return nil, err
}

// lockFile opens a file and locks it as bbolt does, which then finds that it has the lock.
func lockFile(path string, flags int, name string) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	for range lockTries {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		time.Sleep(lockPause)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = bolterrors.ErrTimeout
	}
	if err == nil {
		err = stillThere(f, path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// stillThere makes sure that the file is the one at path: another process may have put its copy there, and let go of
// this one, while we waited for the lock.
func stillThere(f *os.File, path string) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(mine, there) {
		return bolterrors.ErrTimeout
	}
	return nil
}

// contents are what a log has: which entries, and which keys beside them.
type contents struct {
	entries spans
	keys    map[string]bool
}

// check reads the whole file and finds what it has.
func check(path string) (contents, error) {
	c := contents{keys: make(map[string]bool)}
	buckets := make(map[string]bool)
	err := boltfile.Check(path, func(bucket, key, value []byte) error {
		switch {
		case bucket == nil && value == nil:
			buckets[string(key)] = true
			if name := string(key); name != logsBucket && name != confBucket {
				return foreign("it has a bucket %q", name)
			}
		case bucket == nil || value == nil:
			return foreign("it has something other than entries and values")
		case string(bucket) == confBucket:
			c.keys[string(key)] = true
		case len(key) != indexSize:
			return foreign("it has an entry without an index")
		default:
			c.entries.add(binary.BigEndian.Uint64(key))
		}
		return nil
	})
	// They are made together; a crash may come before that.
	if err == nil && len(buckets) == 1 {
		err = fmt.Errorf("%s: %w", path, foreign("it has one bucket only"))
	}
	return c, err
}

func foreign(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrForeign, fmt.Sprintf(format, args...))
}
