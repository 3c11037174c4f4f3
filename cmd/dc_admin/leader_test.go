package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/raftstore"
)

// What people see of a cluster without a leader begins with that.
func TestNoLeaderIsSaidFirst(t *testing.T) {
	lost := aFollower
	lost.Role, lost.Leader, lost.LeaderAt = raftstore.RoleCandidate, "", ""
	node := &fakeNode{status: lost, members: []raftstore.Member{
		{Name: "n1", Address: "10.0.0.1:7001", Voter: true, Role: raftstore.RoleUnreachable, Error: "refused"},
		{Name: "n2", Address: "10.0.0.2:7001", Voter: true, Role: raftstore.RoleCandidate},
	}}
	serve(t, node)
	testutil.Golden(t, "members-leaderless.golden", says(t, "members"))
	testutil.Golden(t, "status-leaderless.golden", says(t, "status"))

	node.status = raftstore.Status{Node: "n1", Role: raftstore.RoleJoining, Reason: "waiting for n2 (refused)"}
	node.members = nil
	testutil.Golden(t, "members-joining.golden", says(t, "members"))
	testutil.Golden(t, "status-joining.golden", says(t, "status"))
}

// Who asks for a change while there is no leader is told at once what the answer waits for, and in the end why there
// was none.
func TestNoLeader(t *testing.T) {
	node := &fakeNode{
		status: raftstore.Status{Node: "n1", Role: raftstore.RoleCandidate},
		members: []raftstore.Member{
			{Name: "n1", Voter: true, Role: raftstore.RoleCandidate},
			{Name: "n2", Voter: true, Role: raftstore.RoleUnreachable, Error: "connection refused"},
		},
	}
	serve(t, node)
	const why = "1 of 2 voters answers (n1), and it takes 2; no answer from n2\n"
	for _, change := range [][]string{{"leave"}, {"remove", "n2"}, {"transfer"}, {"transfer", "n2"}} {
		node.noLeader, node.asked = true, ""
		var notes bytes.Buffer
		err := run(t.Context(), change, io.Discard, &notes)
		if got, want := notes.String(), "dc_admin: waiting for the cluster to have a leader: "+why; got != want ||
			node.asked == "" {
			t.Errorf("%s: asked to %q, noted\n%s, want\n%s", change, node.asked, got, want)
		}
		want := "dc_admin: the cluster has no leader: " + why +
			"A change needs a leader, and a leader a majority of the voters: start those that are down, or see what is " +
			"between them.\n"
		if got := fails(t, err); got != want {
			t.Errorf("%s: got\n%s, want\n%s", change, got, want)
		}
	}
	node.status.Role, node.noLeader = raftstore.RoleFollower, false
	var notes bytes.Buffer
	if err := run(t.Context(), []string{"leave"}, io.Discard, &notes); err != nil || notes.Len() > 0 {
		t.Errorf("with a leader: %v, noted %s", err, notes.String())
	}
}
