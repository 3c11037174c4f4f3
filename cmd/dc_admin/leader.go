package main

import (
	"context"
	"fmt"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/raftstore"
)

// How long, and how often, a node is asked who leads now. A new leader makes itself known at once.
const (
	newsTimeout = 2 * time.Second
	newsPause   = 20 * time.Millisecond
)

// leaderless tells whether a node belongs, or is about to belong, to a cluster that has no leader.
func leaderless(s raftstore.Status) bool {
	return s.Leader == "" && (s.Role == raftstore.RoleCandidate || s.Role == raftstore.RoleJoining)
}

// whyNoLeader tells why the cluster has no leader, empty if it has one.
func whyNoLeader(s raftstore.Status, members []raftstore.Member) string {
	const joining = "this node is not a member of a cluster yet"
	switch {
	case !leaderless(s):
		return ""
	case len(members) > 0:
		return admin.Votes(members)
	case s.Reason != "":
		return joining + ": " + s.Reason
	}
	return joining
}

// saysNoLeader tells, before all else, that the cluster has no leader, if so, and why.
func (c *call) saysNoLeader(s raftstore.Status, members []raftstore.Member) {
	if why := whyNoLeader(s, members); why != "" {
		fmt.Fprintf(c.out, "no leader: %s\n\n", clean(why))
	}
}

// awaitsLeader tells at once that a change will have to wait, and what for: the node gives it up after some seconds.
func (c *call) awaitsLeader(ctx context.Context) {
	s, err := c.node.Status(ctx)
	if err != nil || s.Role != raftstore.RoleCandidate {
		return // the change itself will tell
	}
	if members, err := c.node.Members(ctx); err == nil {
		fmt.Fprintf(c.notes, "%s: waiting for the cluster to have a leader: %s\n", program, clean(admin.Votes(members)))
	}
}

// newLeader is the leader's name once the node knows another than before, or empty if that takes too long.
func (c *call) newLeader(ctx context.Context, before string) string {
	ctx, cancel := context.WithTimeout(ctx, newsTimeout)
	defer cancel()
	t := time.NewTicker(newsPause)
	defer t.Stop()
	for {
		if s, err := c.node.Status(ctx); err == nil && s.Leader != "" && s.Leader != before {
			return s.Leader
		}
		select {
		case <-ctx.Done():
			return ""
		case <-t.C:
		}
	}
}
