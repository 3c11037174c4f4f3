package main

import "context"

func leaveCommand() *command {
	return &command{
		name:    "leave",
		summary: "take this node out of its cluster and stop it",
		about: `Makes the node that dc_admin is connected to leave its cluster: it hands over leadership if it is the
leader, is removed from the cluster, and stops. For a node that does not run any more, use "remove"
on another node.`,
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
