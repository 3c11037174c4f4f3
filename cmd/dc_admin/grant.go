package main

import (
	"context"

	"github.com/distcache/distcache/internal/config"
)

func grantCommand() *command {
	return &command{
		name:     "grant",
		operands: "NAME",
		summary:  "let a new node join the cluster, once, within an hour",
		about: `Where nodes have certificates, a certificate is not enough to join: a new node's name has to be
granted to a member first. Names of members, also of those whose disks were lost, and names in the
members' -cluster lists need no grant. The member remembers the grant until the node has joined, or
for an hour, or until the member ends.`,
		timeout: readTimeout,
		run:     grant,
	}
}

func grant(ctx context.Context, c *call) error {
	if len(c.operands) != 1 || c.operands[0] == "" {
		return config.Usagef("grant takes the name of the node that may join")
	}
	if err := c.node.Grant(ctx, c.operands[0]); err != nil {
		return err
	}
	return c.done("%s may join, once, within an hour.", clean(c.operands[0]))
}
