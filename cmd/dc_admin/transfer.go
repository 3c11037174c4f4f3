package main

import (
	"context"

	"github.com/distcache/distcache/internal/config"
)

func transferCommand() *command {
	return &command{
		name:     "transfer",
		operands: "[NAME]",
		summary:  "hand leadership to another node",
		about: `Hands leadership to the named node, or to the node with the most log entries. Use it before
maintenance of the leader; a dc_server that is stopped by SIGTERM hands over by itself. A node that
was away first receives the log entries that it missed.`,
		timeout: changeTimeout,
		run:     transfer,
	}
}

func transfer(ctx context.Context, c *call) error {
	if len(c.operands) > 1 {
		return config.Usagef("transfer takes the name of at most one node, as \"%s members\" shows it", program)
	}
	name := ""
	if len(c.operands) == 1 {
		name = c.operands[0]
	}
	c.awaitsLeader(ctx)
	before, err := c.node.Status(ctx)
	if err != nil {
		return err
	}
	if err := c.node.Transfer(ctx, name); err != nil {
		return err
	}
	leader := name
	if name == "" {
		leader = c.newLeader(ctx, before.Leader)
	}
	switch {
	case c.json:
		return c.print(struct {
			OK     bool   `json:"ok"`
			Leader string `json:"leader,omitempty"` // empty: not known yet
		}{true, leader})
	case name != "" && name == before.Leader:
		return c.done("%s leads already.", clean(name))
	case leader == "":
		return c.done("Leadership is handed over.")
	}
	return c.done("Leadership is handed over to %s.", clean(leader))
}
