package raftnode

import (
	"context"
	"slices"
	"time"
)

const (
	trimTick   = time.Second
	logEntries = 1 << 16 // that are kept at most, however small they are
)

// trim takes a snapshot each time the log has grown by LogBytes, which costs a flush and a small file, and means that a
// restart has no more than that to read of the log. With each the log is cut at its front, a piece at a time.
func (n *Node) trim(newest uint64) {
	t := time.NewTicker(n.opts.Timing.Trim)
	defer t.Stop()
	log := newTail(newest)
	for {
		var asked chan<- error
		select {
		case <-n.stop:
			return
		case <-t.C:
		case asked = <-n.trimAsked:
		}
		last, grown := n.raft.LastIndex(), n.logs.Grown()
		if asked == nil && !log.due(last, grown, n.opts.LogBytes) {
			continue
		}
		_, size := n.opts.Machine.Flushed()
		keep := max(n.opts.LogBytes, size)
		behind := log.keep(last, grown, keep)
		if asked != nil {
			behind = n.logs.Behind(last, keep)
		}
		err := n.Snapshot(last - behind)
		if err == nil {
			log.note(last, grown)
		}
		if asked != nil {
			asked <- err
		} else if err != nil {
			n.log.Warn("trimming the log failed", "error", err)
		}
	}
}

// TrimNow cuts the log back to what is to be kept of it. Unlike trim on its own it reads the log, to be exact. When ctx ends
// it doesn't wait: Raft does, for a disk that hangs.
func (n *Node) TrimNow(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case n.trimAsked <- done:
	case <-n.stop:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A tail knows how many bytes of log there are behind some of its entries, the oldest first.
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

// keep gives the entry behind which all are to be kept: so many bytes of them, or a little more. It is 0 as long as that
// can't be told: what was there before the oldest mark is not known.
func (t *tail) keep(last uint64, grown, bytes int64) uint64 {
	enough := func(m mark) bool { return grown-m.grown >= bytes || last-m.index >= logEntries }
	i := 0
	for i+1 < len(*t) && enough((*t)[i+1]) {
		i++
	}
	*t = slices.Delete(*t, 0, i)
	if !enough((*t)[0]) {
		return 0
	}
	return (*t)[0].index
}

// note remembers where the log ended.
func (t *tail) note(last uint64, grown int64) { *t = append(*t, mark{last, grown}) }
