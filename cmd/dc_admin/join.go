package main

import (
	"context"
	"strings"

	"github.com/distcache/distcache/internal/config"
)

func joinCommand() *command {
	return &command{
		name:     "join",
		operands: "HOST:PORT[,…] [-discard]",
		summary:  "make this node, which stands alone, a member of a cluster",
		about: `Said to a node that was started with -peer and without -cluster: it joins the cluster that the
peers at these addresses (their -peer addresses) belong to. One that answers is enough. The node
takes over the cluster's sessions; if it has some of its own it refuses, unless -discard says to
give them up.`,
		flags:   []string{"discard"},
		timeout: changeTimeout,
		run:     join,
	}
}

func join(ctx context.Context, c *call) error {
	var peers []string
	for _, operand := range c.operands {
		for _, peer := range config.Words(operand) {
			if err := config.CheckHostPort(peer, false); err != nil {
				return config.Usagef("join takes the peers' HOST:PORT: %w", err)
			}
			peers = append(peers, peer)
		}
	}
	if len(peers) == 0 {
		return config.Usagef("join takes the HOST:PORT of one or more peers of the cluster, such as 10.0.0.1:7001")
	}
	if err := c.node.Join(ctx, peers, c.discard); err != nil {
		return err
	}
	return c.done("This node has joined the cluster of %s.", strings.Join(peers, ", "))
}
