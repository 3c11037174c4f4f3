package main

import (
	"context"
	"fmt"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/raftstore"
)

// How long, and how often, a node is asked who the new leader is.
const (
	newLeaderTimeout = 2 * time.Second
	newLeaderPause   = 20 * time.Millisecond
)

// leaderless tells whether the node belongs to a cluster without a leader, or is joining a cluster.
func leaderless(s raftstore.Status) bool {
	return s.Leader == "" && (s.Role == raftstore.RoleCandidate || s.Role == raftstore.RoleJoining)
}

// whyNoLeader tells why the cluster has no leader. It is empty if there is one.
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

// saysNoLeader prints why the cluster has no leader, if it has none. It is called before all other output.
func (c *call) saysNoLeader(s raftstore.Status, members []raftstore.Member) {
	if why := whyNoLeader(s, members); why != "" {
		fmt.Fprintf(c.out, "no leader: %s\n\n", clean(why))
	}
}

// awaitsLeader tells the operator why a change is going to wait, if the cluster has no leader. The node itself gives
// the change up after some seconds.
func (c *call) awaitsLeader(ctx context.Context) {
	s, err := c.node.Status(ctx)
	if err != nil || s.Role != raftstore.RoleCandidate {
		return // the change will report the error
	}
	if members, err := c.node.Members(ctx); err == nil {
		fmt.Fprintf(c.notes, "%s: waiting for the cluster to have a leader: %s\n", program, clean(admin.Votes(members)))
	}
}

// newLeader waits until the node knows a leader other than before, and returns its name. It returns "" if that takes
// too long.
func (c *call) newLeader(ctx context.Context, before string) string {
	ctx, cancel := context.WithTimeout(ctx, newLeaderTimeout)
	defer cancel()
	t := time.NewTicker(newLeaderPause)
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
