package raftstore

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/boltlog"
	"github.com/distcache/distcache/raftstore/internal/files"
	"github.com/distcache/distcache/raftstore/internal/walfile"
)

// A LogKind says in what kind of files a node keeps its Raft log and its votes. Nodes of one cluster may differ in it.
type LogKind int

const (
	// LogBolt is one bbolt file. A write is synced twice.
	LogBolt LogKind = iota
	// LogWAL is files that are only appended to. A write is synced once.
	LogWAL
)

var logKinds = []LogKind{LogBolt, LogWAL}

// String is the kind as ParseLogKind takes it.
func (k LogKind) String() string {
	if k == LogWAL {
		return "wal"
	}
	return "bolt"
}

// ParseLogKind takes bolt or wal.
func ParseLogKind(s string) (LogKind, error) {
	for _, k := range logKinds {
		if s == k.String() {
			return k, nil
		}
	}
	return 0, fmt.Errorf("a log is of kind bolt or wal, not %q", s)
}

// file is the name of the log's file, or directory, in the data directory.
func (k LogKind) file() string {
	if k == LogWAL {
		return "wal"
	}
	return "raft.db"
}

func (k LogKind) other() LogKind { return LogWAL - k }

// logNames are all the names that a log may have in the data directory, in the course of a conversion too.
func logNames() (names []string) {
	for _, k := range logKinds {
		names = append(names, k.file(), k.file()+newSuffix, k.file()+oldSuffix)
	}
	return names
}

// A logFiles is an open log, which holds the votes too.
type logFiles interface {
	raft.LogStore
	raft.StableStore
	io.Closer
}

// openLog opens the log in the data directory, or makes one of that kind. covered is the index up to which a snapshot
// replaces it.
func openLog(dir string, kind LogKind, log *slog.Logger, covered func() uint64) (*summedLog, error) {
	if err := finishConversion(dir); err != nil {
		return nil, fmt.Errorf("raft log: %w", err)
	}
	other, err := exists(filepath.Join(dir, kind.other().file()))
	if err != nil {
		return nil, fmt.Errorf("raft log: %w", err)
	}
	own, err := exists(filepath.Join(dir, kind.file()))
	if err != nil {
		return nil, fmt.Errorf("raft log: %w", err)
	}
	switch {
	case other && own:
		return nil, twoLogs(dir)
	case other:
		return nil, fmt.Errorf("%w: the raft log in %s is of kind %s, not %s: use it as that, with -raft-log %s, or convert it, with dc_admin convert-log -data %s -to %s",
			ErrForeign, dir, kind.other(), kind, kind.other(), dir, kind)
	}
	f, err := openLogFile(filepath.Join(dir, kind.file()), kind, log, covered)
	if err == nil && !own {
		if err = files.SyncDir(dir); err != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("raft log: %w", err)
	}
	return f, nil
}

// twoLogs is the error for a directory that no conversion could have left.
func twoLogs(dir string) error {
	return fmt.Errorf("%w: %s has two raft logs, %s and %s: which of them is the node's can't be told from here, take the other away",
		ErrForeign, dir, LogBolt.file(), LogWAL.file())
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// openLogFile opens the log at path, or makes one.
func openLogFile(path string, kind LogKind, log *slog.Logger, covered func() uint64) (*summedLog, error) {
	var f logFiles
	var err error
	if kind == LogWAL {
		f, err = walfile.Open(path, walfile.Options{Logger: raftLogger(log), Covered: covered})
	} else {
		f, err = boltlog.Open(path)
	}
	if err != nil {
		return nil, err
	}
	return &summedLog{f, path}, nil
}

// logSize is the size of the log's file or files.
func logSize(dir string, kind LogKind) (size int64) {
	_ = filepath.WalkDir(filepath.Join(dir, kind.file()), func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return nil // one that has just been deleted
		}
		if fi, err := d.Info(); err == nil && fi.Mode().IsRegular() {
			size += fi.Size()
		}
		return nil
	})
	return size
}
