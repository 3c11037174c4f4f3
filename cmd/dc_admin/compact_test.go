package main

import (
	"strings"
	"testing"

	"github.com/distcache/distcache/raftstore"
)

func TestCompact(t *testing.T) {
	node := &fakeNode{compacted: raftstore.Compacted{
		StateBefore: 1 << 30, StateAfter: 20 << 10, LogBefore: 1200 << 20, LogAfter: 80 << 20}}
	serve(t, node)
	got := says(t, "compact")
	if got != "state   1.0 GiB -> 20.0 KiB\nlog     1.2 GiB -> 80.0 MiB\n" || node.asked != "compact" {
		t.Errorf("said %q, asked to %s", got, node.asked)
	}
	node.compacted.LogAfter, node.compacted.LogFree = node.compacted.LogBefore, 1120<<20
	bolt := "log     1.2 GiB -> 1.2 GiB, 1.1 GiB of it free, given back when the node next starts\n"
	if got := says(t, "compact"); !strings.HasSuffix(got, bolt) {
		t.Errorf("said %q", got)
	}
	want := `{
  "state_bytes_before": 1073741824,
  "state_bytes_after": 20480,
  "log_bytes_before": 1258291200,
  "log_bytes_after": 1258291200,
  "log_bytes_free": 1174405120
}
`
	if got := says(t, "compact", "-json"); got != want {
		t.Errorf("said %s", got)
	}
}

func TestCompactMistakes(t *testing.T) {
	mistakes(t, map[string]string{"compact n1": `compact takes nothing after it, but there is "n1"`})
}
