// Package walfile opens a Raft log that hashicorp/raft-wal keeps: files of a directory that are only appended to, and a
// small bbolt file, wal-meta.db, that names them and holds the votes.
//
// The library checks only the last write in its files. Damage elsewhere shows as a changed entry, a panic, or a log
// that ends early. Also, a crash at one moment leaves files to which the library can't append any more. So Open reads
// the files before the library does: it refuses damaged files, and repairs what a crash has left.
package walfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/metrics"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

// segmentSize is the size of a file. The file is allocated at once, and deleted when all its entries are deleted.
const segmentSize = 32 << 20

// ErrDamaged matches the error for a log that is not whole. One whose wal-meta.db is no bbolt file has
// boltfile.ErrDamaged.
var ErrDamaged = errors.New("file of the log is damaged")

// Options are how a log is opened.
type Options struct {
	Logger hclog.Logger // default: none
	// Covered is the index up to which a snapshot replaces the log. An entry that follows on it may be stored although
	// it does not follow on the last entry; the log then begins with it. Default: none.
	Covered func() uint64

	segment int // size of a file; default segmentSize
}

// A Log is an open log.
//
// A Log is not a raft.MonotonicLogStore, although it allows no gaps: Raft would empty such a log after each received
// snapshot, including entries beyond the snapshot that this node has acknowledged. Instead StoreLogs empties the log
// when it must.
type Log struct {
	raft.LogStore
	raft.StableStore
	io.Closer
	covered func() uint64
	failed  *failure
}

// Open opens the log in a directory, which is made with mode 0700 when it is not there.
func Open(dir string, opts Options) (*Log, error) {
	if opts.Logger == nil {
		opts.Logger = hclog.NewNullLogger()
	}
	if opts.Covered == nil {
		opts.Covered = func() uint64 { return 0 }
	}
	if opts.segment == 0 {
		opts.segment = segmentSize
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := prepare(dir); err != nil {
		return nil, err
	}
	failed := new(failure)
	var w *wal.WAL
	err := boltfile.Guard(dir, func() (err error) {
		w, err = wal.Open(dir,
			wal.WithLogger(opts.Logger),
			wal.WithMetricsCollector(&metrics.NoOpCollector{}),
			wal.WithSegmentSize(opts.segment),
			wal.WithMetaStore(&metaStore{MetaStore: &metadb.BoltMetaDB{}, failed: failed}),
			wal.WithSegmentFiler(segment.NewFiler(dir, &private{fs.New(), failed})))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	if err := restrict(dir); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &Log{w, w, w, opts.Covered, failed}, nil
}

// StoreLog stores one entry and syncs it.
func (l *Log) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs stores entries that follow on the last one, or on a snapshot, and syncs them.
func (l *Log) StoreLogs(es []*raft.Log) error {
	if len(es) == 0 {
		return nil
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	if next := es[0].Index; last > 0 && next > last+1 && next <= l.covered()+1 {
		first, err := l.FirstIndex()
		if err != nil {
			return err
		}
		if err := l.DeleteRange(first, last); err != nil {
			return err
		}
	}
	err = l.LogStore.StoreLogs(es)
	if why := l.failed.why(); errors.Is(err, wal.ErrSealed) && why != nil {
		return fmt.Errorf("make the next file: %w", why) // the last one is full, and the library has only logged this
	}
	return err
}

// Keys are the keys in the log's StableStore, which does not list them itself. The log must not be open.
func Keys(dir string) ([]string, error) {
	return boltfile.Keys(filepath.Join(dir, metadb.FileName), metadb.StableBucket)
}

// restrict gives all files the mode 0600: the library makes them readable to everybody, subject to the umask. Until
// then the directory's mode keeps others out.
func restrict(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Chmod(filepath.Join(dir, f.Name()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// A failure is why the library could not make the next file, if it could not.
type failure struct{ err atomic.Pointer[error] }

// note keeps an error.
func (f *failure) note(err error) error {
	if err != nil {
		f.err.Store(&err)
	}
	return err
}

func (f *failure) why() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// private is the file system, where new files have the mode 0600.
type private struct {
	*fs.FS
	failed *failure
}

// Create makes a file of the given size.
func (p *private) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := p.FS.Create(dir, name, size)
	if err == nil {
		err = os.Chmod(filepath.Join(dir, name), 0o600)
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		return nil, p.failed.note(err)
	}
	return f, nil
}

// metaStore is the file that names the others.
type metaStore struct {
	types.MetaStore
	failed *failure
}

// CommitState stores which files there are.
func (m *metaStore) CommitState(s types.PersistentState) error {
	return m.failed.note(m.MetaStore.CommitState(s))
}
