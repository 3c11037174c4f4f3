package raftstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/distcache/distcache/raftstore/internal/state"
)

// Compacted tells what a Compact did to the files, in bytes.
type Compacted struct {
	StateBefore int64 `json:"state_bytes_before"`
	StateAfter  int64 `json:"state_bytes_after"`
	LogBefore   int64 `json:"log_bytes_before"`
	LogAfter    int64 `json:"log_bytes_after"`
	LogFree     int64 `json:"log_bytes_free,omitempty"` // of LogAfter: given back when the node next starts
}

// Compact gives back the room that sessions took which are there no more: it rewrites the state file, and trims the
// log to what is kept for other nodes. The node serves meanwhile. The state file is copied beside the old one, so
// there must be room for what is left. It takes a minute or more for each million of sessions. The file of a
// LogBolt keeps its size until the node next starts.
//
// One Compact runs at a time, and not beside Join and Leave: ErrRefused. Others are ErrBusy, ErrClosed when the
// store has ended, that of ctx, and those of the files. An error leaves files that are whole.
func (s *Store) Compact(ctx context.Context) (c Compacted, err error) {
	if err := s.claim(doesCompact); err != nil {
		return c, err
	}
	defer s.unclaim()
	n := s.node.Load()
	if n == nil || s.why() != nil {
		return c, ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	if c.StateBefore, c.StateAfter, err = n.state.Compact(ctx); err != nil {
		return c, asBusy(err)
	}
	c.LogBefore, _ = n.logs.Size()
	if err := n.raft.TrimNow(ctx); err != nil {
		return c, fmt.Errorf("trim the log: %w", err)
	}
	c.LogAfter, c.LogFree = n.logs.Size()
	return c, nil
}

// asBusy makes the errors that say so by which callers know them.
func asBusy(err error) error {
	for _, known := range []error{state.ErrBusy, state.ErrBehind} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: %w", ErrBusy, err)
		}
	}
	return err
}
