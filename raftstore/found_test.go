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

// That a node has another -cluster list is what its operator has to know: that a majority is waited for does not take its
// place, nor alternate with it in the log.
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
	const waiting, other = "waiting for a majority", "started with another -cluster"
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
