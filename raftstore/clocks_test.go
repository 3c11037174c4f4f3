package raftstore

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// The median of the voters' clocks is their time, once a majority of them is known.
func TestVotersAgree(t *testing.T) {
	const unknown = 1 << 40
	for _, c := range []struct {
		voters []int // seconds after noon
		want   int   // unknown: they do not agree
	}{
		{nil, unknown},
		{[]int{7}, 7},
		{[]int{unknown}, unknown},
		{[]int{3, 5}, 3},
		{[]int{5, 3}, 3},
		{[]int{3, unknown}, unknown},
		{[]int{3600, 0, 1}, 1},
		{[]int{0, 1, -3600}, 0},
		{[]int{3600, unknown, 1}, 1},
		{[]int{1, unknown, -3600}, -3600},
		{[]int{3600, unknown, unknown}, unknown},
		{[]int{1, 2, 3600, 3600, 3}, 3},
		{[]int{-3600, 2, 3600, 3, unknown}, 2},
		{[]int{1, 2, 3, 4}, 2},
		{[]int{1, 2, unknown, unknown}, unknown},
	} {
		v := newVoterClocks()
		now := time.Now()
		servers := []raftnode.Member{{ID: "other"}}
		v.heard("other", moment{noon - 9_000, now})
		v.heard("gone", moment{noon + 9_000, now})
		for i, s := range c.voters {
			id := serverid.ID(fmt.Sprint("n", i+1))
			servers = append(servers, raftnode.Member{ID: id, Voter: true})
			if s != unknown {
				v.heard(id, moment{uint64(noon + s*1000 - 2000), now.Add(-2 * time.Second)})
			}
		}
		got, offsets, ok := v.agree(servers, now)
		if ok != (c.want != unknown) || ok && got != uint64(noon+c.want*1000) {
			t.Errorf("voters %v agree on noon %+d, %v; want %+d", c.voters, int64(got)-noon, ok, c.want*1000)
		}
		for _, o := range offsets {
			var i int
			if o.Node == "other" {
				continue
			}
			if _, err := fmt.Sscanf(o.Node, "n%d", &i); err != nil || o.Offset != time.Duration(c.voters[i-1]-c.want)*time.Second {
				t.Errorf("voters %v: %s is %v ahead", c.voters, o.Node, o.Offset)
			}
		}
		if _, _, ok := v.agree(servers, now.Add(agreedFor+1)); ok {
			t.Errorf("voters %v still agree when they have not been heard of for long", c.voters)
		}
		if len(v.said) != 0 {
			t.Errorf("%d clocks are kept", len(v.said))
		}
	}
}

func TestWrongClocks(t *testing.T) {
	got := wrong([]ClockOffset{{"n1", time.Hour + 40*time.Millisecond}, {"n2", clockSlack}, {"n3", -clockSlack}, {"n4", -90 * time.Second}})
	if want := "n1 is 1h0m0s ahead, n4 is 1m30s behind"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What a node says of its clocks is bounded, whoever it is.
func TestParseClocks(t *testing.T) {
	n := &node{cfg: Config{}.withDefaults(), id: "n1"}
	n.clock.reach(noon)
	good := n.appendClocks(nil)
	a, ok := parseClocks(good, time.Now())
	if !ok || a.log.ms < noon || a.log.ms > noon+60_000 || time.Since(time.UnixMilli(int64(a.wall.ms))).Abs() > time.Minute {
		t.Errorf("%x is %+v, %v", good, a, ok)
	}
	high := bytes.Repeat([]byte{0xff}, 8)
	for name, b := range map[string][]byte{
		"nothing":     nil,
		"cut off":     good[:15],
		"more":        append(good[:16:16], 'x'),
		"a wild wall": append(append([]byte{}, high...), good[8:]...),
		"a wild log":  append(append([]byte{}, good[:8]...), high...),
	} {
		if a, ok := parseClocks(b, time.Now()); ok {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func FuzzParseClocks(f *testing.F) {
	f.Add(make([]byte, 16))
	f.Add(bytes.Repeat([]byte{0xff}, 16))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := parseClocks(b, time.Now()); ok && (a.wall.ms > lastTime || a.log.ms > lastTime) {
			t.Errorf("%x is %+v", b, a)
		}
	})
}
