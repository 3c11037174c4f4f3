package raftstore

import (
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

const (
	compactTick    = 2 * time.Second
	compactEntries = 1 << 16 // entries after which the log is compacted however small they are
)

// compact takes a snapshot, and with it trims the log, when the log has grown by its bound in bytes. It keeps the
// entries since the snapshot before, so that a node that was away for a while is caught up from the log.
func (n *node) compact(newest uint64) {
	t := time.NewTicker(compactTick)
	defer t.Stop()
	var mark int64
	entries := newest
	for {
		select {
		case <-n.stop:
			return
		case <-t.C:
		}
		_, size := n.state.Flushed()
		last := n.raft.LastIndex()
		if n.logs.bytes.Load()-mark < max(n.cfg.LogBytes, size) && last-entries < compactEntries {
			continue
		}
		grown := n.logs.bytes.Load()
		c := n.raft.ReloadableConfig()
		c.TrailingLogs = max(last-entries, 1)
		err := n.raft.ReloadConfig(c)
		if err == nil {
			err = n.raft.Snapshot().Error()
		}
		if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) && !errors.Is(err, raft.ErrRaftShutdown) {
			n.log.Warn("compacting the log failed", "error", err)
			continue
		}
		mark, entries = grown, last
	}
}
