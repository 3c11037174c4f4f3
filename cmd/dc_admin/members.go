package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/distcache/distcache/raftstore"
)

func membersCommand() *command {
	return &command{
		name:    "members",
		summary: "the nodes of the cluster",
		about: `Lists the cluster's nodes as this node sees them. LAG is the number of log entries that a node is
behind the newest. A node that did not answer has dashes; the reason is below the table.`,
		timeout: readTimeout,
		run:     members,
	}
}

func members(ctx context.Context, c *call) error {
	if err := c.none("members"); err != nil {
		return err
	}
	list, err := c.node.Members(ctx)
	if err != nil {
		return err
	}
	if c.json {
		if list == nil {
			list = []raftstore.Member{}
		}
		return c.print(list)
	}
	s, err := c.node.Status(ctx)
	if err != nil {
		return err
	}
	c.saysNoLeader(s, list)
	tw := tabwriter.NewWriter(c.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, "NAME\tADDRESS\tVOTER\tSTATE\tAPPLIED\tLAG\tSESSIONS\tVERSION\tUPTIME")
	for _, m := range list {
		voter, up := "no", "-"
		if m.Version != "" {
			up = uptime(m.Uptime)
		}
		known := fmt.Sprintf("%d\t%d\t%d\t%s\t%s", m.Applied, m.Lag, m.Sessions, orDash(m.Version), up)
		if m.Voter {
			voter = "yes"
		}
		if m.Error != "" || m.Role == raftstore.RoleUnreachable {
			known = "-\t-\t-\t-\t-"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", clean(m.Name), orDash(m.Address), voter, orDash(string(m.Role)), known)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	gap := "\n"
	for _, m := range list {
		if m.Error != "" {
			fmt.Fprintf(c.out, "%s%s: %s\n", gap, clean(m.Name), clean(m.Error))
			gap = ""
		}
	}
	return nil
}
