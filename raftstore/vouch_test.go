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
		voters, names []string
		want          bool
	}{
		{nil, []string{"n1"}, false},
		{[]string{"n1"}, []string{"n1", "n9"}, true},
		{[]string{"n1", "n2"}, []string{"n1", "n9"}, false},
		{[]string{"n1", "n2"}, []string{"n1", "n2"}, true},
		{[]string{"n1", "n2", "n3"}, []string{"n1", "n2"}, true},
		{[]string{"n1", "n2", "n3"}, []string{"n1", "n4"}, false}, // n4 has no vote
		{[]string{"n2", "n3", "n5"}, []string{"n1", "n2"}, false}, // n1 leads, and is being removed
		{[]string{"n1", "n2", "n3", "n5"}, []string{"n1", "n2"}, false},
		{[]string{"n1", "n2", "n3", "n5", "n6"}, []string{"n1", "n2"}, false},
	} {
		servers := []raft.Server{{ID: "n4", Suffrage: raft.Nonvoter}}
		for _, v := range c.voters {
			servers = append(servers, raft.Server{ID: raft.ServerID(v)})
		}
		if got := majority(servers, c.names...); got != c.want {
			t.Errorf("%v of voters %v: %v", c.names, c.voters, got)
		}
	}
}

// named gives a leader a state machine in which nodes have instances, at log entry 7.
func named(t *testing.T, n *node, instances map[string]string) {
	t.Helper()
	m, err := state.Open(filepath.Join(t.TempDir(), stateFile), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	first := opening(1)
	b := entry.AppendOp(entry.Begin(nil), &first)
	counter := uint64(0)
	for name, instance := range instances {
		counter++
		b = entry.AppendOp(b, &entry.Op{Kind: entry.Node, Identity: entry.Identity{Origin: 1, Counter: counter, Low: 1},
			ID: []byte(name), Data: []byte(instance)})
	}
	entry.Seal(b, entry.Header{Stamp: uint64(time.Now().UnixMilli()), Count: 1 + int(counter)})
	if _, err := m.Apply(7, 1, b); err != nil {
		t.Fatal(err)
	}
	n.state = m
}

// A follower of three and the leader are a majority, if the follower is who it says it is and has seen no later term.
func TestVouched(t *testing.T) {
	n := leading(t)
	others := map[string]string{"n1": "one", "n2": "two", "n3": "three", "n4": "four"}
	named(t, n, others)
	term := n.serving.Load()
	other := "n1"
	if n.cfg.Name == other {
		other = "n2"
	}
	good := vouch{term, other, others[other]}
	for name, c := range map[string]struct {
		v    vouch
		want bool
	}{
		"good":              {good, true},
		"a later term":      {vouch{term + 1, good.name, good.instance}, false},
		"an earlier term":   {vouch{term - 1, good.name, good.instance}, false},
		"another instance":  {vouch{term, good.name, "new"}, false},
		"no instance":       {vouch{term, good.name, ""}, false},
		"nobody known":      {vouch{term, "n5", ""}, false},
		"no vote":           {vouch{term, "n4", "four"}, false},
		"the leader itself": {vouch{term, n.cfg.Name, others[n.cfg.Name]}, false},
	} {
		index, ok := n.vouched(c.v)
		if ok != c.want || ok && index.index != 7 {
			t.Errorf("%s: %+v, %v", name, index, ok)
		}
	}
	n.serving.Store(0)
	if _, ok := n.vouched(good); ok {
		t.Error("a leader that does not serve yet gave a read index")
	}
	n.serving.Store(term - 1)
	if _, ok := n.vouched(vouch{term - 1, good.name, good.instance}); ok {
		t.Error("a leader of an earlier term gave a read index")
	}
}

func TestParseVouch(t *testing.T) {
	v := vouch{term: 1 << 40, name: "n1", instance: "0123"}
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
	f.Add(vouch{term: 3, name: "n1", instance: "0123"}.append(nil))
	f.Add(append(vouch{term: 3, name: "n1"}.append(nil), "id"...))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, 9, 'n'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, rest, ok := parseVouch(b); ok && !bytes.Equal(append(v.append(nil), rest...), b) {
			t.Errorf("%x is %v, %x", b, v, rest)
		}
	})
}
