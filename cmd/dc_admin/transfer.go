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
maintenance of the leader; dc_server does it by itself when it is stopped by SIGTERM.`,
		timeout: changeTimeout,
		run:     transfer,
	}
}

func transfer(ctx context.Context, c *call) error {
	switch len(c.operands) {
	case 0:
		c.awaitsLeader(ctx)
		if err := c.node.Transfer(ctx, ""); err != nil {
			return err
		}
		return c.done("Leadership is handed over.")
	case 1:
		c.awaitsLeader(ctx)
		if err := c.node.Transfer(ctx, c.operands[0]); err != nil {
			return err
		}
		return c.done("Leadership is handed to %s.", clean(c.operands[0]))
	}
	return config.Usagef("transfer takes the name of at most one node, as \"%s members\" shows it", program)
}
