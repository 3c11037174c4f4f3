package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/raftstore"
)

// mostLag is how many log entries a node may be behind. docs/alerts.yml has the same limit.
const mostLag = 10_000

func checkCommand() *command {
	return &command{
		name:    "check",
		summary: "whether this node and its cluster are well, for cron and monitoring",
		about: `Prints nothing and exits with status 0 when all is well. Otherwise it prints one line for each
problem and exits with status 1. The problems, in the order in which they are printed: the cluster
has no leader; this node is not ready; clocks are wrong; a member does not answer, does not vote, has
no leader, is more than 10000 log entries behind, or runs another version than this node (members by
name); this node does not answer. An election that is under way gets two seconds to end.`,
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
	failed      = "error" // the node that was asked does not answer, or answers with an error
	noLeader    = "no-leader"
	notReady    = "not-ready" // the node that was asked
	wrongClock  = "clock"
	unreachable = "unreachable"
	notServing  = "state" // a member that does not vote, or has no leader
	behind      = "lag"
	otherBuild  = "version"
	expiring    = "certificate"
	insecure    = "insecure"
	otherSeal   = "seal"
)

// warnDays is for how many days a certificate must be valid.
const warnDays = 14

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

// String returns the problem as one line.
func (p problem) String() string {
	text := clean(strings.ReplaceAll(p.Text, "\n", "; "))
	if p.Node == "" {
		return text
	}
	return clean(p.Node) + ": " + text
}

// problems asks the node what is not well. After an error the list may be incomplete.
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

// ofMember returns the problems of a member, as seen by the node whose status is s.
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
	if m.Certificate != "" && m.Expires != nil && time.Until(*m.Expires) < warnDays*24*time.Hour {
		add(expiring, "its certificate is valid %s", days(*m.Expires))
	}
	if m.SealedBy != s.SealedBy {
		add(otherSeal, "its seal key is not that of %s: what one seals, the other can't open", s.Node)
	}
	if m.Insecure {
		add(insecure, "its peer port is without certificates: whoever reaches it can read and change every session")
	}
	if m.Version != s.Version {
		add(otherBuild, "its version is %s, and that of %s %s", orUnknown(m.Version), s.Node, orUnknown(s.Version))
	}
	return found
}

// orUnknown is for nodes of older versions, which don't report a version.
func orUnknown(version string) string {
	if version == "" {
		return "unknown"
	}
	return version
}
