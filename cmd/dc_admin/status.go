package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/raftstore"
)

func statusCommand() *command {
	return &command{
		name:    "status",
		summary: "what this node is doing",
		about: `Shows how this node sees itself: its version and uptime, its role in the cluster, the administrative
work that is under way, how far its log and its state have come, the number of its sessions, the size
of its files, and which nodes' clocks are wrong, if any are.`,
		timeout: readTimeout,
		run:     status,
	}
}

func status(ctx context.Context, c *call) error {
	if err := c.none("status"); err != nil {
		return err
	}
	s, err := c.node.Status(ctx)
	if err != nil {
		return err
	}
	if c.json {
		return c.print(s)
	}
	if leaderless(s) {
		list, _ := c.node.Members(ctx) // whyNoLeader says less without a list
		c.saysNoLeader(s, list)
	}
	tw := tabwriter.NewWriter(c.out, 0, 0, 3, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(tw, name+"\t"+format+"\n", args...) }
	line("node", "%s", clean(s.Node))
	if s.ID != "" {
		line("id", "%s", clean(s.ID))
	}
	line("state", "%s", state(s))
	if s.Reason != "" {
		line("reason", "%s", clean(s.Reason))
	}
	if s.Doing != "" {
		line("under way", "%s", clean(s.Doing))
	}
	if s.Version != "" { // a node of an older version reports neither
		line("version", "%s, up %s", clean(s.Version), uptime(s.Uptime))
	}
	if s.Certificate != "" && s.Expires != nil {
		line("certificate", "%s, %s", clean(s.Certificate), days(*s.Expires))
	}
	if s.Insecure {
		line("peer port", "without certificates: whoever reaches it can read and change every session")
	}
	line("sessions", "%s", sessions(s))
	if s.Role != admin.RoleMemory {
		line("address", "%s", orDash(s.Address))
		line("leader", "%s", leader(s))
		line("term", "%d", s.Term)
		line("applied index", "%d (log %d, committed %d, on disk %d)", s.Applied, s.LastIndex, s.Commit, s.Flushed)
		line("files", "state %s, log %s%s%s", size(s.StateSize), size(s.LogSize), logKind(s), givenBack(s.LogFree))
		line("reads", "%s", orDash(s.Reads))
		if s.Clocks != "" {
			line("clocks", "%s", clean(s.Clocks))
		}
	}
	return tw.Flush()
}

func state(s raftstore.Status) string {
	switch {
	case s.Role == admin.RoleMemory:
		return "keeps sessions in memory only"
	case s.Voter:
		return clean(string(s.Role)) + ", voter"
	}
	return clean(string(s.Role)) + ", not a voter"
}

// logKind names the kind of log, to follow the log's size.
func logKind(s raftstore.Status) string {
	if s.LogKind == "" {
		return "" // a node of an older version
	}
	return " (" + clean(s.LogKind) + ")"
}

// givenBack says how much of the log's file is free, to follow the log's size.
func givenBack(free int64) string {
	if free == 0 {
		return ""
	}
	return ", " + size(free) + " of it free, given back when the node next starts"
}

func sessions(s raftstore.Status) string {
	if s.Limit == 0 {
		return fmt.Sprintf("%d, no limit", s.Sessions)
	}
	return fmt.Sprintf("%d of %d", s.Sessions, s.Limit)
}

func leader(s raftstore.Status) string {
	switch {
	case s.Leader == "" && s.LeaderAt == "":
		return "none"
	case s.LeaderAt == "":
		return clean(s.Leader)
	}
	return orDash(s.Leader) + " at " + clean(s.LeaderAt)
}

// days says how long it is until a time.
func days(until time.Time) string {
	left := time.Until(until)
	if left < 0 {
		return "which has expired"
	}
	return fmt.Sprintf("for %d more days", int(left.Hours()/24))
}

// uptime formats a length of time in its two largest units.
func uptime(seconds int64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%ds", seconds/60, seconds%60)
	case seconds < 24*3600:
		return fmt.Sprintf("%dh%dm", seconds/3600, seconds/60%60)
	}
	return fmt.Sprintf("%dd%dh", seconds/(24*3600), seconds/3600%24)
}

// size formats a number of bytes.
func size(bytes int64) string {
	if bytes < 1<<10 {
		return fmt.Sprintf("%d B", bytes)
	}
	n, unit := float64(bytes)/(1<<10), 0
	for n >= 1<<10 && unit < 3 {
		n, unit = n/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", n, "KMGT"[unit])
}
