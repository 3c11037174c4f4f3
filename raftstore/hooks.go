package raftstore

import (
	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/state"
)

// hooks are what a simulated node has in the place of its machine's own, or watches. Each may be nil.
type hooks struct {
	logFiles func(path string, opts raftlog.Options) (raftlog.Files, error) // what is opened for the log
	machine  func(raft.BatchingFSM, *state.Machine) raft.BatchingFSM        // what Raft has as its state machine
	started  func(*node)                                                    // Raft runs, and nobody else's has been let in
}
