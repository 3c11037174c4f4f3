package raftstore

import (
	"log/slog"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/state"
)

// hooks are what a simulated node has in the place of its machine's own, or watches. Each may be nil.
type hooks struct {
	openLog func(dir string, kind LogKind, log *slog.Logger, covered func() uint64) (*summedLog, error)
	machine func(raft.BatchingFSM, *state.Machine) raft.BatchingFSM // what Raft has as its state machine
	started func(*node)                                             // Raft runs, and nobody else's has been let in
}
