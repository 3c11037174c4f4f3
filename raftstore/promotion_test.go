package raftstore_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/internal/testlog"
	"github.com/distcache/distcache/raftstore"
)

// While a voter that answers does not have the last promotion in its log, no other node becomes a voter.
func TestOnePromotionAtATime(t *testing.T) {
	t.Parallel()
	c, links, log := testcluster.New(t), newLinks(), new(testlog.Buffer)
	shared := func(cfg *raftstore.Config) {
		links.through(cfg)
		cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	n1 := lone(t, c, "n1", shared)
	join := func(name string) *testcluster.Node {
		n := lone(t, c, name, shared)
		if err := n.Join(ctxFor(t, patience), []string{n1.Config.Peer}, false); err != nil {
			t.Fatal(err)
		}
		return n
	}
	join("n2")
	n3 := join("n3")
	links.sever(func(from, to string, kind byte) bool { return kind == linkRaft && to == "n3" })
	join("n4")
	n5 := lone(t, c, "n5", shared)
	joined := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { joined <- n5.Join(ctx, []string{n1.Config.Peer}, false) }()

	const waits = "a node that has caught up does not vote yet"
	waiting := func() bool {
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, waits) && strings.Contains(line, " node=n5 ") {
				return true
			}
		}
		return false
	}
	testcluster.Eventually(t, func() error {
		select {
		case err := <-joined:
			t.Fatalf("n5 votes (%v), and n3's log does not have the promotion of n4 yet", err)
		default:
		}
		if !waiting() {
			return errors.New("n5 has not caught up")
		}
		return nil
	})
	links.sever(uncut)
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	n3.Voters("n1", "n2", "n3", "n4", "n5")
}
