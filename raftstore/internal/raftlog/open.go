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
	// ErrForeign is returned for a data directory that belongs to another node, or whose log is of the other kind.
	ErrForeign = errors.New("data directory does not fit")
	// ErrDisk is passed to Fail, and returned, when the log can't be written, or not in time.
	ErrDisk = errors.New("disk failed")
	// ErrDamaged is an ErrDisk: data in the log can't be decoded, or differ from what was written.
	ErrDamaged = fmt.Errorf("%w", ErrDisk)
)

// Options are how a log is opened. Dir is required.
type Options struct {
	Dir         string
	Kind        Kind
	Self        serverid.ID   // the server that owns the log
	Logger      hclog.Logger  // default: none
	DiskTimeout time.Duration // the longest that a write may take before Fail is called; 0: no limit
	Covered     func() uint64 // the index up to which a snapshot replaces the log; default: none

	Fail  func(error)                         // called when the node can't go on because of its disk; may be nil
	Wrote func(bytes int, took time.Duration) // called after each write, with the size of its entries; may be nil

	OpenFiles func(path string, opts Options) (Files, error) // default: OpenFiles

	compact bool // a bolt file that is more than half free. Not during a conversion, which root may run.
}

// Open opens the log in a data directory, or creates one. It first finishes an interrupted Convert. The error is
// ErrForeign when the directory has a log of the other kind, or two logs; other errors come from the files.
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

// An OtherKindError is an ErrForeign: the log in the directory is not of the requested kind.
type OtherKindError struct {
	Dir  string
	Kind Kind // of the log
}

func (e *OtherKindError) Error() string {
	return fmt.Sprintf("%v: the raft log in %s is of kind %s, not %s", ErrForeign, e.Dir, e.Kind, e.Kind.other())
}

func (e *OtherKindError) Unwrap() error { return ErrForeign }

// wrapped adds to an error that it concerns the log. An ErrForeign says so itself.
func wrapped(err error) error {
	if err == nil || errors.Is(err, ErrForeign) {
		return err
	}
	return fmt.Errorf("raft log: %w", err)
}

// findLog tells whether there is a log of this kind, and refuses a log of the other kind.
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

// twoLogs is the error for a directory with two logs, which no conversion leaves behind.
func twoLogs(dir string) error {
	return fmt.Errorf("%w: %s has two raft logs, %s and %s, and it is unknown which of them is the node's: "+
		"remove the other one", ErrForeign, dir, Bolt.File(), WAL.File())
}

// OpenFiles opens the files of the log at a path, or creates them.
func OpenFiles(path string, opts Options) (Files, error) {
	if opts.Kind == WAL {
		return walfile.Open(path, walfile.Options{Logger: opts.Logger, Covered: opts.Covered})
	}
	return boltlog.Open(path, boltlog.Options{Logger: opts.Logger, Compact: opts.compact})
}
