package raftstore

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A Compact that waits for Raft, which a disk holds up, does not keep the node from closing.
func TestCloseEndsCompactOnHungDisk(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), Name: "n1"}
	WatchDisk(&cfg)
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := s.node.Load()
	eventually := func(what string, f func() bool) {
		t.Helper()
		for deadline := time.After(20 * time.Second); !f(); {
			select {
			case <-deadline:
				t.Fatal(what)
			case <-time.After(time.Millisecond):
			}
		}
	}
	eventually("the node does not lead", n.leads)
	release := make(chan struct{})
	disk := s.OnDisk(func() error { <-release; return nil })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go s.Add(ctx, []byte("id"), []byte("data"), time.Hour)
	<-disk.Reached()

	before, err := os.Stat(filepath.Join(cfg.Dir, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	compacted := make(chan error, 1)
	go func() {
		_, err := s.Compact(ctx)
		compacted <- err
	}()
	eventually("Compact does not come to the log", func() bool {
		now, err := os.Stat(filepath.Join(cfg.Dir, stateFile))
		return err == nil && !os.SameFile(before, now) // the state file is done
	})
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-compacted:
		if err == nil {
			t.Error("Compact did it all")
		}
	case <-time.After(20 * time.Second):
		t.Error("Compact goes on")
	}
	close(release)
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
