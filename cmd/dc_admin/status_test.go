package main

import (
	"encoding/json"
	"testing"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/raftstore"
)

var aFollower = raftstore.Status{
	Node: "n2", ID: "n2/3f9c0a51", Address: "10.0.0.2:7001", Role: raftstore.RoleFollower, Voter: true,
	Leader: "n1", LeaderAt: "10.0.0.1:7001", Term: 7,
	LastIndex: 120345, Commit: 120345, Applied: 120344, Flushed: 120100,
	Sessions: 34567, Limit: 1000000, StateSize: 45 << 20, LogSize: 1234567, LogKind: "wal", Reads: "linearizable",
	Process: raftstore.Process{Version: "1.2.3-4-gabcdef0", Uptime: 3725},
}

func TestStatus(t *testing.T) {
	alone := raftstore.Status{
		Node: "n1", Role: raftstore.RoleLeader, Voter: true, Leader: "n1", Term: 2,
		LastIndex: 4, Commit: 4, Applied: 4, Sessions: 1, StateSize: 1000, LogSize: 32 << 10, Reads: "local",
	}
	lost := aFollower
	lost.Role, lost.Voter, lost.Leader, lost.LeaderAt = raftstore.RoleRemoved, false, "", ""
	lost.Reason = "this node was removed from its cluster\x1b[31m\nby n1"
	busy := aFollower
	busy.Doing = "compacting its files"
	busy.LogKind, busy.LogFree = "bolt", 1000000
	busy.Clocks = "n3 is 1h0m0s ahead"
	for name, node := range map[string]admin.Node{
		"status-busy":     &fakeNode{status: busy},
		"status-follower": &fakeNode{status: aFollower},
		"status-alone":    &fakeNode{status: alone},
		"status-removed":  &fakeNode{status: lost},
		"status-memory":   admin.Memory{Name: "n1", Limit: 500, Sessions: func() int { return 17 }},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, node)
			testutil.Golden(t, name+".golden", says(t, "status"))
		})
	}
}

func TestStatusJSON(t *testing.T) {
	serve(t, &fakeNode{status: aFollower})
	for _, args := range [][]string{{"status", "-json"}, {"-json", "status"}} {
		var got raftstore.Status
		if err := json.Unmarshal([]byte(says(t, args...)), &got); err != nil || got != aFollower {
			t.Errorf("%q: got %+v, %v", args, got, err)
		}
	}
}

func TestUptime(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0s", 59: "59s", 60: "1m0s", 3599: "59m59s", 3600: "1h0m", 86399: "23h59m", 86400: "1d0h",
		360 * 86400: "360d0h",
	} {
		if got := uptime(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 30: "5.0 GiB",
		1 << 52: "4096.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
