package raftstore

import (
	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/state"
)

// hooks are what a simulated node has in the place of its machine's own, or watches. Each may be nil.
type hooks struct {
	logFiles func(path string, opts raftlog.Options) (raftlog.Files, error) // what is opened for the log
	// machine is what Raft has as its state machine, and elected is told at once when this node has become the leader.
	machine func(*state.Machine) (_ raftnode.Machine, elected func(term uint64))
	started func(*node) // Raft runs
}
