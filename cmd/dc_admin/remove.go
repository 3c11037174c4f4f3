package main

import (
	"context"

	"github.com/distcache/distcache/internal/config"
)

func removeCommand() *command {
	return &command{
		name:     "remove",
		operands: "NAME [-force]",
		summary:  "take another node, which does not run any more, out of the cluster",
		about: `Removes another node of the cluster, by the name that "members" shows. It can be run on any other
node. A removed node no longer counts towards a majority, and does not serve if it comes back. It can
join again with an empty data directory. A node that still answers is not removed, unless -force is
given: run "leave" on that node instead.`,
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
