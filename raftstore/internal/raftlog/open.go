package raftlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/distcache/distcache/raftstore/internal/boltlog"
	"github.com/distcache/distcache/raftstore/internal/files"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/raftstore/internal/walfile"
)

var (
	// ErrForeign is returned for a directory that does not fit the node, or its log of the other kind.
	ErrForeign = errors.New("data directory does not fit")
	// ErrDisk is what Fail is told, and what calls return, when the log can't be written, or not in time.
	ErrDisk = errors.New("disk failed")
	// ErrDamaged is an ErrDisk: what was read can't be decoded, or is not as it was written.
	ErrDamaged = fmt.Errorf("%w", ErrDisk)
)

// Options are how a log is opened. Dir is required.
type Options struct {
	Dir         string
	Kind        Kind
	Self        serverid.ID   // whose log it is
	Logger      hclog.Logger  // default: none
	DiskTimeout time.Duration // the longest a write may take before Fail is called; 0: any time
	Covered     func() uint64 // the index up to which a snapshot replaces the log; default: none

	Fail  func(error)                         // is told why the node can't go on with its disk; default: nobody is
	Wrote func(bytes int, took time.Duration) // is told of each write, and the bytes of its entries; default: nobody is

	OpenFiles func(path string, opts Options) (Files, error) // default: OpenFiles

	compact bool // a bolt file that is more than half free. Not while it is converted, which may be done by root.
}

// Open opens the log in a data directory, or makes one. It finishes an interrupted Convert. Errors are ErrForeign when
// there is a log of the other kind, or there are two, and those of the files.
func Open(opts Options) (*Log, error) {
	own, err := findLog(opts.Dir, opts.Kind)
	if err != nil {
		return nil, wrapped(err)
	}
	opts.compact = true
	d, err := openDisk(filepath.Join(opts.Dir, opts.Kind.File()), opts)
	if err == nil && !own {
		if err = files.SyncDir(opts.Dir); err != nil {
			err = errors.Join(err, d.Close())
		}
	}
	if err != nil {
		return nil, wrapped(err)
	}
	return newLog(d, opts), nil
}

// An OtherKindError is an ErrForeign: the log in a directory is of another kind than was asked for.
type OtherKindError struct {
	Dir  string
	Kind Kind // of the log
}

func (e *OtherKindError) Error() string {
	return fmt.Sprintf("%v: the raft log in %s is of kind %s, not %s", ErrForeign, e.Dir, e.Kind, e.Kind.other())
}

func (e *OtherKindError) Unwrap() error { return ErrForeign }

// wrapped says that an error is about the log, unless that is said.
func wrapped(err error) error {
	if err == nil || errors.Is(err, ErrForeign) {
		return err
	}
	return fmt.Errorf("raft log: %w", err)
}

// findLog tells whether there is a log of this kind, and refuses one of the other.
func findLog(dir string, kind Kind) (own bool, err error) {
	if err := finishConversion(dir); err != nil {
		return false, err
	}
	other, err := files.Exists(filepath.Join(dir, kind.other().File()))
	if err != nil {
		return false, err
	}
	own, err = files.Exists(filepath.Join(dir, kind.File()))
	switch {
	case err != nil:
		return false, err
	case other && own:
		return false, twoLogs(dir)
	case other:
		return false, &OtherKindError{Dir: dir, Kind: kind.other()}
	}
	return own, nil
}

// twoLogs is the error for a directory that no conversion could have left.
func twoLogs(dir string) error {
	return fmt.Errorf("%w: %s has two raft logs, %s and %s: which of them is the node's can't be told from here, "+
		"take the other away",
		ErrForeign, dir, Bolt.File(), WAL.File())
}

// OpenFiles opens the files of a log at a path, or makes them.
func OpenFiles(path string, opts Options) (Files, error) {
	if opts.Kind == WAL {
		return walfile.Open(path, walfile.Options{Logger: opts.Logger, Covered: opts.Covered})
	}
	return boltlog.Open(path, boltlog.Options{Logger: opts.Logger, Compact: opts.compact})
}
