package main

import (
	"encoding/json"
	"io"
	"reflect"
	"testing"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/raftstore"
)

var threeMembers = []raftstore.Member{
	{Name: "n1", Address: "10.0.0.1:7001", Voter: true, Role: raftstore.RoleLeader, Applied: 120345, Sessions: 34567,
		Process: raftstore.Process{Version: "1.2.3", Uptime: 3*86400 + 4*3600 + 59}},
	{Name: "n2", Address: "cache-2.example.net:7001", Voter: true, Role: raftstore.RoleUnreachable,
		Error: "connection refused"},
	{Name: "n3", Address: "10.0.0.3:7001", Role: raftstore.RoleFollower, Applied: 120000, Lag: 345, Sessions: 34001},
}

func TestMembers(t *testing.T) {
	serve(t, &fakeNode{status: aFollower, members: threeMembers})
	testutil.Golden(t, "members.golden", says(t, "members"))
}

func TestMembersJSON(t *testing.T) {
	for _, want := range [][]raftstore.Member{threeMembers, {}} {
		serve(t, &fakeNode{members: want})
		var got []raftstore.Member
		if err := json.Unmarshal([]byte(says(t, "-json", "members")), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestMembersOfMemory(t *testing.T) {
	serve(t, admin.Memory{Name: "n1", Sessions: func() int { return 0 }})
	testutil.Golden(t, "members-memory.golden", fails(t, run(t.Context(), []string{"members"}, nil, io.Discard)))
}
