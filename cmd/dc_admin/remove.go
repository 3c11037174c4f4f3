package main

import (
	"context"

	"github.com/distcache/distcache/internal/config"
)

func removeCommand() *command {
	return &command{
		name:     "remove",
		operands: "NAME [-force]",
		summary:  "take another node, one that is gone, out of the cluster",
		about: `Said to any node of the cluster about another, by the name that "members" shows. A node removed
so no longer counts towards a majority. If it comes back it does not serve; it can join again
with an empty data directory. A node that answers is refused, unless -force is given: say "leave"
to it.`,
		flags:   []string{"force"},
		timeout: changeTimeout,
		run:     remove,
	}
}

func remove(ctx context.Context, c *call) error {
	if len(c.operands) != 1 || c.operands[0] == "" {
		return config.Usagef("remove takes the name of one node, as \"%s members\" shows it", program)
	}
	c.awaitsLeader(ctx)
	if err := c.node.RemoveNode(ctx, c.operands[0], c.force); err != nil {
		return err
	}
	return c.done("%s is no longer in the cluster.", clean(c.operands[0]))
}
