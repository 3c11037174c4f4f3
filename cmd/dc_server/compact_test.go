package main

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
)

const compactCrashes = 6

// compactAlways has the servers compact their files one after the other, again and again, whether they are up or not.
// The returned function ends that and tells how often it was done.
func compactAlways(ctx context.Context, servers []*procs.Server) (stop func() int64) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var done atomic.Int64
	for _, s := range servers {
		wg.Go(func() {
			a := s.Admin()
			defer a.Close()
			retry := time.NewTicker(20 * time.Millisecond)
			defer retry.Stop()
			for ctx.Err() == nil {
				if _, err := a.Compact(ctx); err == nil {
					done.Add(1)
					continue
				}
				select { // it is down, or still closes the old file
				case <-retry.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return func() int64 {
		cancel()
		wg.Wait()
		return done.Load()
	}
}

// TestKillWhileCompacting: whichever files a crash leaves, old or new, nothing acknowledged is missing.
func TestKillWhileCompacting(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	servers, err := procs.NewCluster(processes(t), 3)
	if err != nil {
		t.Fatal(err)
	}
	startAll(t, servers)
	ledger, stop := load(t, ctx, servers)
	acknowledged(t, ledger, 100)
	compacted := compactAlways(ctx, servers)
	for i := range compactCrashes {
		s := servers[i%len(servers)]
		s.Kill()
		acknowledged(t, ledger, 100)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged(t, ledger, 100)
	}
	for _, s := range servers {
		s.Kill()
	}
	for _, s := range servers {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	acknowledged(t, ledger, 100)
	if n := compacted(); n < compactCrashes {
		t.Errorf("compacted %d times only", n)
	}
	stop()
	verify(t, ctx, ledger, servers...)
	c := ledger.Counts()
	t.Logf("%d acknowledged, %d removed, %d of unknown fate", c.Added, c.Removed, c.Unknown)
}

// TestStopWhileCompacting: a node that is asked to stop does not finish its copy first.
func TestStopWhileCompacting(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s, err := procs.NewServer(processes(t), "one")
	if err != nil {
		t.Fatal(err)
	}
	servers := []*procs.Server{s}
	startAll(t, servers)
	ledger, stop := load(t, ctx, servers)
	compacted := compactAlways(ctx, servers)
	for range 3 {
		acknowledged(t, ledger, 200)
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	acknowledged(t, ledger, 1)
	stop()
	if compacted() == 0 {
		t.Error("nothing was compacted")
	}
	verify(t, ctx, ledger, s)
}
