package raftstore

import (
	"errors"

	"github.com/distcache/distcache/raftstore/internal/raftlog"
)

// Why a Store can't be opened, or has stopped. Statuses ([github.com/distcache/distcache/wire.Status]) are what its
// calls as a Store return.
var (
	// ErrInUse is returned by Open when another process has the data directory.
	ErrInUse = errors.New("data directory is in use by another process")
	// ErrForeign is returned by Open for a directory that does not fit: another node's, of an earlier version, or files
	// that don't belong together.
	ErrForeign = raftlog.ErrForeign
	// ErrLeft is what Err returns after Leave, and Open for a directory whose node has left.
	ErrLeft = errors.New("this node has left its cluster")
	// ErrRemoved is what Err returns when the cluster has removed this node, and Open for its directory from then on.
	ErrRemoved = errors.New("this node was removed from its cluster")
	// ErrClosed is what Err returns after Close.
	ErrClosed = errors.New("store is closed")
	// ErrDisk is what Err returns when the log or the state file can't be written, or not in time.
	ErrDisk = raftlog.ErrDisk
)

// What a call about membership can come to, besides an error of the context.
var (
	// ErrNoLeader is returned when no leader could be found in time.
	ErrNoLeader = errors.New("the cluster has no leader")
	// ErrRefused is returned, with the reason, when the leader or the node itself will not do it.
	ErrRefused = errors.New("refused")
	// ErrOwnSessions is the reason for which a node with sessions does not join a cluster.
	ErrOwnSessions = errors.New("joining would discard them")
	// ErrNoPeerPort is the reason for which a node that others can't reach does not join a cluster.
	ErrNoPeerPort = errors.New("this node has no address at which other nodes reach it")
)

// ErrBusy is returned by Compact, with the reason, when another time may be better: sessions change faster than they
// can be copied, another node is still being sent the file as it was before the last Compact, or this one is taking
// over a snapshot.
var ErrBusy = errors.New("busy")
