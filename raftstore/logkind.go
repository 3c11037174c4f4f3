package raftstore

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/distcache/distcache/raftstore/internal/files"
	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/snapstore"
)

// A LogKind says in what kind of files a node keeps its Raft log and its votes. Nodes of one cluster may differ in it.
type LogKind = raftlog.Kind

const (
	// LogBolt is one bbolt file. A write is synced twice.
	LogBolt = raftlog.Bolt
	// LogWAL is files that are only appended to. A write is synced once.
	LogWAL = raftlog.WAL
)

// ParseLogKind takes bolt or wal.
func ParseLogKind(s string) (LogKind, error) { return raftlog.ParseKind(s) }

// A LogKindError is the ErrForeign of a directory whose log is of another kind than Config.RaftLog: open it as that, or
// convert it with ConvertLog.
type LogKindError = raftlog.OtherKindError

// A Conversion is what ConvertLog has found and done.
type Conversion = raftlog.Conversion

// ConvertLog makes the log in the data directory of a node that does not run one of the given kind. It may be
// interrupted at any moment, by a crash too: the log is then one or the other, whole, and ConvertLog or Open clears
// away what is left. Errors are ErrInUse while the node runs, ErrForeign when there is no log, or two, and those of
// the files.
func ConvertLog(ctx context.Context, dir string, to LogKind) (Conversion, error) {
	nothing := Conversion{From: LogWAL - to, To: to}
	if ok, err := files.Exists(filepath.Join(dir, identityFile)); err != nil {
		return nothing, err
	} else if !ok {
		return nothing, fmt.Errorf("%w: %s is no node's: it has no %s", ErrForeign, dir, identityFile)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nothing, err
	}
	defer lock.Close()
	return raftlog.Convert(ctx, dir, to, func() (uint64, error) {
		snapshots, err := snapstore.Open(filepath.Join(dir, snapshotDir), nil)
		if err != nil {
			return 0, fmt.Errorf("snapshots: %w", err)
		}
		return snapshots.Newest(), nil
	})
}
