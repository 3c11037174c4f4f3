package raftstore

import (
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

const (
	compactTick = time.Second
	logEntries  = 1 << 16 // that are kept at most, however small they are
)

// compact takes a snapshot each time the log has grown by LogBytes, which costs a flush and a small file, and means that
// a restart has no more than that to read of the log. With each it trims the log, a piece at a time.
func (n *node) compact(newest uint64) {
	t := time.NewTicker(compactTick)
	defer t.Stop()
	log := newTail(newest)
	for {
		select {
		case <-n.stop:
			return
		case <-t.C:
		}
		last, grown := n.raft.LastIndex(), n.logs.bytes.Load()
		if !log.due(last, grown, n.cfg.LogBytes) {
			continue
		}
		_, size := n.state.Flushed()
		c := n.raft.ReloadableConfig()
		c.TrailingLogs = max(last-log.keep(last, grown, max(n.cfg.LogBytes, size)), 1)
		err := n.raft.ReloadConfig(c)
		if err == nil {
			err = n.raft.Snapshot().Error()
		}
		if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) && !errors.Is(err, raft.ErrRaftShutdown) {
			n.log.Warn("compacting the log failed", "error", err)
			continue
		}
		log.note(last, grown)
	}
}

// A tail knows how many bytes of log there are behind some of its entries, the oldest first. What is before the oldest
// is not known, and goes when that does.
type tail []mark

// A mark says how many bytes had been written to the log when an entry was its last.
type mark struct {
	index uint64
	grown int64
}

func newTail(newest uint64) *tail { return &tail{{index: newest}} }

// due tells whether it is time for a snapshot.
func (t tail) due(last uint64, grown, step int64) bool {
	latest := t[len(t)-1]
	return last > latest.index && (grown-latest.grown >= step || last-latest.index >= logEntries)
}

// keep gives the entry behind which all are to be kept: so many bytes of them, or a little more.
func (t *tail) keep(last uint64, grown, bytes int64) uint64 {
	i := 0
	for i+1 < len(*t) && (grown-(*t)[i+1].grown >= bytes || last-(*t)[i+1].index >= logEntries) {
		i++
	}
	*t = slices.Delete(*t, 0, i)
	return (*t)[0].index
}

// note remembers where the log ended.
func (t *tail) note(last uint64, grown int64) { *t = append(*t, mark{last, grown}) }
