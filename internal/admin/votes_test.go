package admin

import (
	"testing"

	"github.com/distcache/distcache/raftstore"
)

func TestVotes(t *testing.T) {
	up := func(name string) raftstore.Member {
		return raftstore.Member{Name: name, Voter: true, Role: raftstore.RoleCandidate}
	}
	down := func(name string) raftstore.Member {
		return raftstore.Member{Name: name, Voter: true, Role: raftstore.RoleUnreachable, Error: "refused"}
	}
	nonvoter := raftstore.Member{Name: "n9", Role: raftstore.RoleJoining}
	for _, try := range []struct {
		members []raftstore.Member
		want    string
	}{
		{[]raftstore.Member{up("n1"), down("n2"), down("n3"), nonvoter},
			"1 of 3 voters answers (n1), and it takes 2; no answer from n2, n3"},
		{[]raftstore.Member{up("n1"), up("n2"), down("n3")},
			"2 of 3 voters answer (n1, n2), which is enough to elect one; no answer from n3"},
		{[]raftstore.Member{up("n1"), down("n2")}, "1 of 2 voters answers (n1), and it takes 2; no answer from n2"},
		{[]raftstore.Member{up("n1"), up("n2"), up("n3")}, "3 of 3 voters answer (n1, n2, n3), which is enough to elect one"},
	} {
		if got := Votes(try.members); got != try.want {
			t.Errorf("got  %s\nwant %s", got, try.want)
		}
	}
}
