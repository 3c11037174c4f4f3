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
		about: `Hands leadership to the named node, or to the one that is furthest along. To be done before
maintenance of the leader; dc_server does it by itself when it is stopped by SIGTERM.
A node that was away is waited for until it has what it missed.`,
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
			Leader string `json:"leader,omitempty"` // not known yet if empty
		}{true, leader})
	case name != "" && name == before.Leader:
		return c.done("%s leads already.", clean(name))
	case leader == "":
		return c.done("Leadership is handed over.")
	}
	return c.done("Leadership is handed over to %s.", clean(leader))
}
