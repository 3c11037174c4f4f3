package raftstore_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/internal/testlog"
	"github.com/distcache/distcache/raftstore"
)

// A first start names each node that it waits for, with the error: in its status at once, and in the log when it takes
// long.
func TestFirstStartNamesWhoIsMissing(t *testing.T) {
	t.Parallel()
	_, nodes := listed(t, 3)
	log := new(testlog.Buffer)
	nodes[0].Config.Logger = slog.New(slog.NewTextHandler(log, nil))
	nodes[0].Start()
	missing := func(text string) error {
		for _, n := range nodes[1:] {
			want := fmt.Sprintf("%s (node at %s: dial tcp %[2]s: ", n.Config.Name, n.Config.Peer)
			if !strings.Contains(text, want) {
				return fmt.Errorf("%q does not have %q", text, want)
			}
		}
		return nil
	}
	testcluster.Eventually(t, func() error { return missing(nodes[0].Status().Reason) })
	const waiting = "waiting for a majority"
	testcluster.Eventually(t, func() error {
		if !strings.Contains(log.String(), waiting) {
			return fmt.Errorf("the log does not have it:\n%s", log)
		}
		return missing(log.String())
	})
	nodes[1].Start()
	testcluster.Eventually(t, func() error {
		if reason := nodes[0].Status().Reason; reason != "" {
			return fmt.Errorf("the reason is still %s", reason)
		}
		return nil
	})
	if n := strings.Count(log.String(), waiting); n != 1 {
		t.Errorf("it is logged %d times:\n%s", n, log)
	}
}

// That a node has another -cluster list is what its operator has to know: that a majority is waited for does not take
// its place, nor alternate with it in the log.
func TestAnotherClusterListIsTheReasonGiven(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	list := make([]raftstore.Node, 3)
	for i := range list {
		list[i] = raftstore.Node{Name: fmt.Sprintf("n%d", i+1), Address: testcluster.FreeAddress(t)}
	}
	log := new(testlog.Buffer)
	add := func(i int, members []raftstore.Node) *testcluster.Node {
		return c.Add(list[i].Name, func(cfg *raftstore.Config) {
			cfg.Peer, cfg.Cluster = list[i].Address, members
			if i == 0 {
				cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
			}
		})
	}
	n1, n2 := add(0, list), add(1, list[:2])
	reason := func(want string) {
		t.Helper()
		testcluster.Eventually(t, func() error {
			if got := n1.Status().Reason; !strings.Contains(got, want) {
				return fmt.Errorf("the reason is %q, not %q", got, want)
			}
			return nil
		})
	}
	const waiting, other = "waiting for a majority", "started with another list of the cluster's nodes"
	n1.Start()
	reason(waiting)
	n2.Start()
	reason(other)
	n2.Stop()
	reason(waiting)
	if first, again := strings.Count(log.String(), waiting), strings.Count(log.String(), other); first != 2 || again != 1 {
		t.Errorf("one reason is logged %d times, the other %d:\n%s", first, again, log)
	}
}
