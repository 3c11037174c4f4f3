package main

import "context"

func leaveCommand() *command {
	return &command{
		name:    "leave",
		summary: "take this node out of its cluster and stop it",
		about: `Said to the node that goes: it hands over leadership if it has it, is taken out of the cluster,
and stops. To take out a node that is gone already, say "remove" to another.`,
		timeout: changeTimeout,
		run:     leave,
	}
}

func leave(ctx context.Context, c *call) error {
	if err := c.none("leave"); err != nil {
		return err
	}
	c.awaitsLeader(ctx)
	if err := c.node.Leave(ctx); err != nil {
		return err
	}
	return c.done("This node has left its cluster, and is stopping.")
}
