package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
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

// On a terminal it is shown how far the node is, until it is done.
func TestCompactShowsProgress(t *testing.T) {
	half := make(chan struct{})
	node := &compacting{fakeNode: fakeNode{status: aFollower}, half: half}
	serve(t, node)
	at, err := wire.ParseAddress(os.Getenv("DC_ADMIN_CONNECT"))
	if err != nil {
		t.Fatal(err)
	}
	client := admin.NewClient(at.Dial)
	defer client.Close()
	var out, notes bytes.Buffer
	c := &call{node: client, out: &out, notes: &notes, terminal: true}
	if err := compact(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	const shown = "\r\x1b[Kcompacting its files: 50% of the sessions are copied"
	if got := notes.String(); !strings.HasPrefix(got, shown) || strings.ReplaceAll(got, shown, "") != "\r\x1b[K" {
		t.Errorf("on the terminal: %q", got)
	}
	if got := out.String(); !strings.HasPrefix(got, "state   0 B") {
		t.Errorf("said %q", got)
	}
}

// compacting is a node that compacts until it has been asked twice how far it is: the first answer is shown by then.
type compacting struct {
	fakeNode
	half  chan struct{}
	asked atomic.Int32
}

func (c *compacting) Status() raftstore.Status {
	if c.asked.Add(1) == 2 {
		close(c.half)
	}
	s := c.status
	s.Doing = "compacting its files: 50% of the sessions are copied"
	return s
}

func (c *compacting) Compact(ctx context.Context) (raftstore.Compacted, error) {
	<-c.half
	return c.fakeNode.Compact(ctx)
}

func TestCompactMistakes(t *testing.T) {
	mistakes(t, map[string]string{"compact n1": `compact takes no operands, but was given "n1"`})
}
