package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/raftstore"
)

// mostLag is how many log entries a node may be behind: as in docs/alerts.yml.
const mostLag = 10_000

func checkCommand() *command {
	return &command{
		name:    "check",
		summary: "whether this node and its cluster are well, for cron and monitoring",
		about: `Prints nothing and ends with status 0 when all is well. Otherwise it ends with status 1, and prints
a line for each thing that is not: there is no leader, this node does not serve, clocks are wrong;
of each member: it does not answer, does not vote, has no leader, is more than 10000 log entries
behind, or is of another version than this node; and that the node does not answer. The lines are in
this order, members by name. A cluster that elects a leader has two seconds for it.`,
		timeout: readTimeout,
		run:     check,
	}
}

// A problem is one thing that is not well.
type problem struct {
	Node string `json:"node,omitempty"` // empty: the whole cluster
	Kind string `json:"kind"`           // one of those below
	Text string `json:"text"`
}

// The kinds of problems, which scripts may tell apart.
const (
	failed      = "error" // the node does not answer, or can't tell
	noLeader    = "no-leader"
	notReady    = "not-ready" // the node that was asked
	wrongClock  = "clock"
	unreachable = "unreachable"
	notServing  = "state" // a member that does not vote, or has no leader
	behind      = "lag"
	otherBuild  = "version"
)

func check(ctx context.Context, c *call) error {
	if err := c.none("check"); err != nil {
		return err
	}
	found, err := c.problems(ctx)
	if errors.Is(err, context.Canceled) {
		return err
	}
	if err = c.explain(err); err != nil {
		found = append(found, problem{"", failed, err.Error()})
	}
	if c.json {
		err = c.print(struct {
			OK       bool      `json:"ok"`
			Problems []problem `json:"problems"`
		}{len(found) == 0, append([]problem{}, found...)})
	} else {
		for _, p := range found {
			_, err = fmt.Fprintln(c.out, p)
		}
	}
	if err == nil && len(found) > 0 {
		err = config.ErrSaid
	}
	return err
}

// String is the problem in a line.
func (p problem) String() string {
	text := clean(strings.ReplaceAll(p.Text, "\n", "; "))
	if p.Node == "" {
		return text
	}
	return clean(p.Node) + ": " + text
}

// problems asks the node for what is not well. An error is why it could not tell more.
func (c *call) problems(ctx context.Context) ([]problem, error) {
	s, err := c.node.Status(ctx)
	if err == nil && leaderless(s) && c.newLeader(ctx, "") != "" {
		s, err = c.node.Status(ctx)
	}
	var members []raftstore.Member
	if err == nil && s.Role != admin.RoleMemory {
		members, err = c.node.Members(ctx)
	}
	var found []problem
	if why := whyNoLeader(s, members); why != "" {
		found = append(found, problem{"", noLeader, "no leader: " + why})
	}
	if err == nil {
		var why string
		if why, err = c.node.Ready(ctx); why != "" {
			found = append(found, problem{s.Node, notReady, "not ready: " + why})
		}
	}
	if s.Clocks != "" {
		found = append(found, problem{"", wrongClock, "clocks: " + s.Clocks})
	}
	for _, m := range members {
		found = append(found, ofMember(m, s)...)
	}
	return found, err
}

// ofMember says what is not well of a member, as the node with status s sees it.
func ofMember(m raftstore.Member, s raftstore.Status) (found []problem) {
	add := func(kind, format string, args ...any) {
		found = append(found, problem{m.Name, kind, fmt.Sprintf(format, args...)})
	}
	who := "a voter"
	if !m.Voter {
		who = "not a voter"
	}
	switch m.Role {
	case raftstore.RoleUnreachable:
		add(unreachable, "no answer from it, %s: %s", who, m.Error)
		return found
	case raftstore.RoleLeader, raftstore.RoleFollower:
		if !m.Voter {
			add(notServing, "it does not vote")
		}
	case raftstore.RoleCandidate:
		if s.Leader != "" {
			add(notServing, "it has no leader")
		}
	default:
		add(notServing, "it is %s, %s", m.Role, who)
	}
	if m.Lag > mostLag {
		add(behind, "%d log entries behind", m.Lag)
	}
	if m.Version != s.Version {
		add(otherBuild, "its version is %s, and that of %s %s", orUnknown(m.Version), s.Node, orUnknown(s.Version))
	}
	return found
}

// orUnknown is for the version of a node that says none.
func orUnknown(version string) string {
	if version == "" {
		return "unknown"
	}
	return version
}
