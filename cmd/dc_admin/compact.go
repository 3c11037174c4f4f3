package main

import (
	"context"
	"fmt"
	"time"

	"github.com/distcache/distcache/raftstore"
)

func compactCommand() *command {
	return &command{
		name:    "compact",
		summary: "make this node's files as small as what is in them",
		about: `Files keep the size that they had at their largest, and reuse the room. After a peak this gives it
back: the state file is copied without what is free in it, while the node goes on serving, and the
log is trimmed. The file of a log of kind bolt gets smaller when the node next starts, if more than
half of it is free; what is said of it tells how much that is. The copy needs disk space for what is
left, and takes a minute or more for each million of sessions, as it leaves most of the disk to the
requests. The nodes of a cluster are compacted one by one, the leader last; none joins or leaves
through this one meanwhile. The node goes on with it if dc_admin is interrupted.`,
		run: compact,
	}
}

func compact(ctx context.Context, c *call) error {
	if err := c.none("compact"); err != nil {
		return err
	}
	hide := c.showProgress(ctx)
	done, err := c.node.Compact(ctx)
	hide()
	if err != nil {
		return err
	}
	if c.json {
		return c.print(done)
	}
	return c.compacted(done)
}

const (
	progressPause = 500 * time.Millisecond
	// clearLine begins a terminal's line anew and empties it.
	clearLine = "\r\x1b[K"
)

// showProgress shows on a terminal, until hide is called, what the node has under way.
func (c *call) showProgress(ctx context.Context) (hide func()) {
	if !c.terminal {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(progressPause)
		defer t.Stop()
		for {
			if s, err := c.node.Status(ctx); err == nil {
				fmt.Fprint(c.notes, clearLine, clean(s.Doing))
			}
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		fmt.Fprint(c.notes, clearLine)
	}
}

// compacted tells what became of the files.
func (c *call) compacted(done raftstore.Compacted) error {
	return c.done("state   %s -> %s\nlog     %s -> %s%s", size(done.StateBefore), size(done.StateAfter),
		size(done.LogBefore), size(done.LogAfter), givenBack(done.LogFree))
}
