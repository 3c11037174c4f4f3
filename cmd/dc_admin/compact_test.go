package main

import (
	"testing"

	"github.com/distcache/distcache/raftstore"
)

func TestCompact(t *testing.T) {
	node := &fakeNode{compacted: raftstore.Compacted{StateBefore: 1 << 30, StateAfter: 20 << 10, LogBefore: 1200 << 20, LogAfter: 80 << 20}}
	serve(t, node)
	if got := says(t, "compact"); got != "state   1.0 GiB -> 20.0 KiB\nlog     1.2 GiB -> 80.0 MiB\n" || node.asked != "compact" {
		t.Errorf("said %q, asked to %s", got, node.asked)
	}
	want := `{
  "state_bytes_before": 1073741824,
  "state_bytes_after": 20480,
  "log_bytes_before": 1258291200,
  "log_bytes_after": 83886080
}
`
	if got := says(t, "compact", "-json"); got != want {
		t.Errorf("said %s", got)
	}
}

func TestCompactMistakes(t *testing.T) {
	mistakes(t, map[string]string{"compact n1": `compact takes nothing after it, but there is "n1"`})
}
