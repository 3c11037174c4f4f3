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
		summary:  "make this node, which has no cluster yet, a member of one",
		about: `Makes this node join the cluster of the peers at these addresses (their -peer addresses). One peer
that answers is enough. The node must have been started with -peer and without -cluster. It takes
over the cluster's sessions. If the node has sessions of its own it refuses to join, unless -discard
is given: then those sessions are lost.`,
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
