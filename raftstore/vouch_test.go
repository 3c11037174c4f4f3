package raftstore

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/state"
)

func TestMajority(t *testing.T) {
	for _, c := range []struct {
		voters, ids []raft.ServerID
		want        bool
	}{
		{nil, []raft.ServerID{"n1"}, false},
		{[]raft.ServerID{"n1"}, []raft.ServerID{"n1", "n9"}, true},
		{[]raft.ServerID{"n1", "n2"}, []raft.ServerID{"n1", "n9"}, false},
		{[]raft.ServerID{"n1", "n2"}, []raft.ServerID{"n1", "n2"}, true},
		{[]raft.ServerID{"n1", "n2", "n3"}, []raft.ServerID{"n1", "n2"}, true},
		{[]raft.ServerID{"n1", "n2", "n3"}, []raft.ServerID{"n1", "n4"}, false}, // n4 has no vote
		{[]raft.ServerID{"n2", "n3", "n5"}, []raft.ServerID{"n1", "n2"}, false}, // n1 leads, and is being removed
		{[]raft.ServerID{"n1", "n2", "n3", "n5"}, []raft.ServerID{"n1", "n2"}, false},
		{[]raft.ServerID{"n1", "n2", "n3", "n5", "n6"}, []raft.ServerID{"n1", "n2"}, false},
	} {
		servers := []raft.Server{{ID: "n4", Suffrage: raft.Nonvoter}}
		for _, v := range c.voters {
			servers = append(servers, raft.Server{ID: v})
		}
		if got := majority(servers, c.ids...); got != c.want {
			t.Errorf("%v of voters %v: %v", c.ids, c.voters, got)
		}
	}
}

// stated gives a leader a state machine that is at log entry 7.
func stated(t *testing.T, n *node) {
	t.Helper()
	m, err := state.Open(filepath.Join(t.TempDir(), stateFile), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	b := entry.Begin(nil)
	entry.Seal(b, entry.Header{Stamp: uint64(time.Now().UnixMilli())})
	if _, err := m.Apply(7, 1, b); err != nil {
		t.Fatal(err)
	}
	n.state = m
}

// A follower of three and the leader are a majority, if the follower is who it says it is and has seen no later term.
func TestVouched(t *testing.T) {
	n := leading(t)
	stated(t, n)
	term := n.serving.Load()
	other := raft.ServerID("n1")
	if n.id == other {
		other = "n2"
	}
	good := vouch{term, other}
	for name, c := range map[string]struct {
		v    vouch
		want bool
	}{
		"good":              {good, true},
		"a later term":      {vouch{term + 1, other}, false},
		"an earlier term":   {vouch{term - 1, other}, false},
		"another server":    {vouch{term, other + "/1"}, false},
		"nobody":            {vouch{term, ""}, false},
		"nobody known":      {vouch{term, "n5"}, false},
		"no vote":           {vouch{term, "n4"}, false},
		"the leader itself": {vouch{term, n.id}, false},
	} {
		index, ok := n.vouched(c.v)
		if ok != c.want || ok && index != 7 {
			t.Errorf("%s: %d, %v", name, index, ok)
		}
	}
	n.serving.Store(0)
	if _, ok := n.vouched(good); ok {
		t.Error("a leader that does not serve yet gave a read index")
	}
	n.serving.Store(term - 1)
	if _, ok := n.vouched(vouch{term - 1, other}); ok {
		t.Error("a leader of an earlier term gave a read index")
	}
}

func TestParseVouch(t *testing.T) {
	v := vouch{1 << 40, "n1/01234567"}
	b := append(v.append([]byte("x"))[1:], "id"...)
	if got, rest, ok := parseVouch(b); !ok || got != v || string(rest) != "id" {
		t.Errorf("%x is %v, %q, %v", b, got, rest, ok)
	}
	for n := range len(b) - len("id") {
		if v, _, ok := parseVouch(b[:n]); ok {
			t.Errorf("%x is %v", b[:n], v)
		}
	}
}

func FuzzParseVouch(f *testing.F) {
	f.Add(vouch{3, "n1/01234567"}.append(nil))
	f.Add(append(vouch{term: 3}.append(nil), "id"...))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, 9, 'n'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, rest, ok := parseVouch(b); ok && !bytes.Equal(append(v.append(nil), rest...), b) {
			t.Errorf("%x is %v, %x", b, v, rest)
		}
	})
}
