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
		about: `Files never shrink by themselves: free space inside them is reused. After a peak, compact returns
that space to the file system. The node copies its state file without the free space, and trims its
log; it goes on serving meanwhile. The file of a bolt log is not copied now: it shrinks when the node
next starts, if more than half of it is free. The output says how much of it is free. The copy needs
disk space for the sessions that are left. It takes a minute or more for each million sessions, since
requests come first. Compact the nodes of a cluster one by one, the leader last; while a node
compacts, no node can join or leave through it. The node goes on if dc_admin is interrupted.`,
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
	// clearLine moves to the start of the terminal's line and erases it.
	clearLine = "\r\x1b[K"
)

// showProgress shows what the node is doing until hide is called, if the notes go to a terminal.
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

// compacted prints the sizes of the files before and after.
func (c *call) compacted(done raftstore.Compacted) error {
	return c.done("state   %s -> %s\nlog     %s -> %s%s", size(done.StateBefore), size(done.StateAfter),
		size(done.LogBefore), size(done.LogAfter), givenBack(done.LogFree))
}
