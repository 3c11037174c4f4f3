package raftnode

import (
	"testing"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

func TestMajority(t *testing.T) {
	for _, c := range []struct {
		voters, ids []serverid.ID
		want        bool
	}{
		{nil, []serverid.ID{"n1"}, false},
		{[]serverid.ID{"n1"}, []serverid.ID{"n1", "n9"}, true},
		{[]serverid.ID{"n1", "n2"}, []serverid.ID{"n1", "n9"}, false},
		{[]serverid.ID{"n1", "n2"}, []serverid.ID{"n1", "n2"}, true},
		{[]serverid.ID{"n1", "n2", "n3"}, []serverid.ID{"n1", "n2"}, true},
		{[]serverid.ID{"n1", "n2", "n3"}, []serverid.ID{"n1", "n4"}, false}, // n4 has no vote
		{[]serverid.ID{"n2", "n3", "n5"}, []serverid.ID{"n1", "n2"}, false}, // n1 leads, and is being removed
		{[]serverid.ID{"n1", "n2", "n3", "n5"}, []serverid.ID{"n1", "n2"}, false},
		{[]serverid.ID{"n1", "n2", "n3", "n5", "n6"}, []serverid.ID{"n1", "n2"}, false},
	} {
		members := []Member{{ID: "n4"}}
		for _, v := range c.voters {
			members = append(members, Member{ID: v, Voter: true})
		}
		if got := Majority(members, c.ids...); got != c.want {
			t.Errorf("%v of voters %v: %v", c.ids, c.voters, got)
		}
	}
}
