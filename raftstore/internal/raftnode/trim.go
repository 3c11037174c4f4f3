package raftnode

import (
	"context"
	"slices"
	"time"
)

const (
	trimTick   = time.Second
	logEntries = 1 << 16 // the most entries between snapshots, and the most that must be kept, however small they are
)

// trim takes a snapshot each time that the log has grown by LogBytes. A snapshot costs a flush and a small file, and
// bounds how much of the log a restart must read. With each snapshot Raft trims the front of the log.
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

// TrimNow takes a snapshot and trims the log. It reads the log to find out exactly how many entries to keep, where trim
// estimates. TrimNow returns when ctx ends, even if Raft waits for a hung disk.
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

// A tail knows the size of the log behind some of its entries, the oldest first.
type tail []mark

// A mark is the number of bytes that had been written to the log when it ended with an entry.
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

// keep returns the index of the entry behind which the log must be kept, so that at least so many bytes are kept. It
// returns 0 when the marks don't reach back far enough: the size of the log before the oldest mark is unknown.
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
