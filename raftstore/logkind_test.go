package raftstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// bothLogs runs a test for each kind of log.
func bothLogs(t *testing.T, f func(*testing.T, raftstore.LogKind)) {
	for _, kind := range []raftstore.LogKind{raftstore.LogBolt, raftstore.LogWAL} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			f(t, kind)
		})
	}
}

// used is a node that has stored session 1, stopped.
func used(t *testing.T, kind raftstore.LogKind) *testcluster.Node {
	t.Helper()
	n := testcluster.New(t).Add("one", func(cfg *raftstore.Config) { cfg.RaftLog = kind })
	n.Start()
	add(t, n.Store, 1)
	if st := n.Status(); st.LogKind != kind.String() || st.LogSize == 0 {
		t.Errorf("status has a log of kind %s and %d bytes", st.LogKind, st.LogSize)
	}
	n.Stop()
	return n
}

// The other kind's log is refused, until it is converted.
func TestKindOfLog(t *testing.T) {
	bothLogs(t, func(t *testing.T, kind raftstore.LogKind) {
		n := used(t, kind)
		n.Config.RaftLog = raftstore.LogWAL - kind
		s, err := raftstore.Open(n.Config)
		if err == nil {
			s.Close()
			t.Fatal("it was taken")
		}
		var other *raftstore.LogKindError
		if !errors.As(err, &other) || !errors.Is(err, raftstore.ErrForeign) || other.Dir != n.Config.Dir || other.Kind != kind {
			t.Fatal(err)
		}
		if _, err := raftstore.ConvertLog(context.Background(), n.Config.Dir, n.Config.RaftLog); err != nil {
			t.Fatal(err)
		}
		n.Start()
		found(t, n.Store, 1)
		add(t, n.Store, 2)
		if _, err := raftstore.ConvertLog(context.Background(), n.Config.Dir, kind); !errors.Is(err, raftstore.ErrInUse) {
			t.Errorf("converting a running node's log: %v", err)
		}
		n.Stop()
		n.Start()
		found(t, n.Store, 2)
	})
}

// Only a node's directory is converted, and nothing is made in another.
func TestConvertNoNodesLog(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "missing")
	_, err := raftstore.ConvertLog(t.Context(), dir, raftstore.LogWAL)
	if !errors.Is(err, raftstore.ErrForeign) || !strings.Contains(err.Error(), "it has no node.json") {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

// Nodes whose logs are of different kinds are one cluster; a log is converted node by node.
func TestMixedKinds(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	for i, n := range c.Running() {
		n.Stop()
		if _, err := raftstore.ConvertLog(context.Background(), n.Config.Dir, raftstore.LogWAL); err != nil {
			t.Fatal(err)
		}
		n.Config.RaftLog = raftstore.LogWAL
		n.Start()
		add(t, n.Store, i)
		c.Agree()
	}
	for i := range 3 {
		found(t, c.Leader().Store, i)
	}
}

// What is damaged is named, with no panic.
func TestDamagedWAL(t *testing.T) {
	t.Parallel()
	n := used(t, raftstore.LogWAL)
	for what, damage := range map[string]func(path string) error{
		"cut short": func(path string) error { return os.Truncate(path, 100) },
		"emptied":   func(path string) error { return os.Truncate(path, 0) },
		"other content": func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("other content ", 1000)), 0o600)
		},
		"missing": os.Remove,
	} {
		for _, pattern := range []string{"*.wal", "wal-meta.db"} {
			cfg := n.Config
			cfg.Dir = filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(cfg.Dir, os.DirFS(n.Config.Dir)); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(cfg.Dir, "wal", pattern))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v, %v", files, err)
			}
			if err := damage(files[0]); err != nil {
				t.Fatal(err)
			}
			s, err := raftstore.Open(cfg)
			if err == nil {
				s.Close()
				t.Errorf("%s %s: it was taken", pattern, what)
				continue
			}
			t.Logf("%s %s: %v", pattern, what, err)
			if !strings.Contains(err.Error(), "wal") {
				t.Errorf("%s %s: %v", pattern, what, err)
			}
		}
	}
}

// A node that gives up its state to join gives up its log of either kind.
func TestDiscardWAL(t *testing.T) {
	t.Parallel()
	c := testcluster.New(t)
	a1 := testcluster.FreeAddress(t)
	c.Add("n1", func(cfg *raftstore.Config) { cfg.Peer = a1 }).Start()
	n2 := c.Add("n2", func(cfg *raftstore.Config) { cfg.Peer, cfg.RaftLog = testcluster.FreeAddress(t), raftstore.LogWAL })
	n2.Start()
	add(t, c.Nodes["n1"].Store, 1)
	add(t, n2.Store, 2)
	if err := n2.Join(context.Background(), []string{a1}, true); err != nil {
		t.Fatal(err)
	}
	n2.Voters("n1", "n2")
	found(t, n2.Store, 1)
	missing(t, n2.Store, 2)
	n2.Stop()
	n2.Start()
	found(t, n2.Store, 1)
}
