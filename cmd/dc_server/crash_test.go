package main

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/loadtest"
	"github.com/distcache/distcache/wire"
)

// asServer makes this test binary run as dc_server: real processes, under the race detector like everything else.
const asServer = "DC_SERVER_TEST_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// crashes is how often each crash test kills; with a log that is not the default kind, a few times.
const (
	crashes    = 10
	crashesWAL = 3
)

func processes(t *testing.T) procs.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return procs.Config{Program: []string{self}, Env: []string{asServer + "=1"}, Dir: t.TempDir()}
}

// startAll starts the servers, kills them when the test ends, and shows what they said if it failed.
func startAll(t *testing.T, servers []*procs.Server) {
	t.Helper()
	t.Cleanup(func() {
		for _, s := range servers {
			s.Kill()
			if t.Failed() {
				t.Logf("%s said:\n%s", s.Name, s.Log())
			}
		}
	})
	for _, s := range servers {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
}

// load runs a ledger against the servers until the returned function is called, which fails the test when an answer
// was wrong.
func load(t *testing.T, ctx context.Context, servers []*procs.Server) (*loadtest.Ledger, func()) {
	t.Helper()
	var addresses []wire.Address
	for _, s := range servers {
		addresses = append(addresses, s.Listen)
	}
	ledger, err := loadtest.NewLedger(loadtest.LedgerConfig{Addresses: addresses})
	if err != nil {
		t.Fatal(err)
	}
	run, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- ledger.Run(run) }()
	return ledger, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// acknowledged waits until n more ADDs have been acknowledged.
func acknowledged(t *testing.T, ledger *loadtest.Ledger, n uint64) {
	t.Helper()
	goal := ledger.Counts().Added + n
	testutil.Until(t, func() error {
		if added := ledger.Counts().Added; added < goal {
			return fmt.Errorf("%d of %d sessions acknowledged", added, goal)
		}
		return nil
	})
}

func verify(t *testing.T, ctx context.Context, ledger *loadtest.Ledger, servers ...*procs.Server) {
	t.Helper()
	for _, s := range servers {
		if err := ledger.Verify(ctx, s.Listen); err != nil {
			t.Fatalf("through %s: %v", s.Name, err)
		}
	}
}

func TestKillSingleNode(t *testing.T)    { killSingleNode(t, crashes) }
func TestKillSingleNodeWAL(t *testing.T) { killSingleNode(t, crashesWAL, "-raft-log", "wal") }

func killSingleNode(t *testing.T, crashes int, flags ...string) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s, err := procs.NewServer(processes(t), "one")
	if err != nil {
		t.Fatal(err)
	}
	s.Flags(flags...)
	servers := []*procs.Server{s}
	startAll(t, servers)
	ledger, stop := load(t, ctx, servers)
	for range crashes {
		acknowledged(t, ledger, 200)
		s.Kill()
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	acknowledged(t, ledger, 1)
	stop()
	verify(t, ctx, ledger, s)
	c := ledger.Counts()
	t.Logf("%d acknowledged, %d removed, %d of unknown fate", c.Added, c.Removed, c.Unknown)
}

func TestKillLeader(t *testing.T)    { killLeader(t, crashes) }
func TestKillLeaderWAL(t *testing.T) { killLeader(t, crashesWAL, "-raft-log", "wal") }

func killLeader(t *testing.T, crashes int, flags ...string) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	servers, err := procs.NewCluster(processes(t), 3, flags...)
	if err != nil {
		t.Fatal(err)
	}
	startAll(t, servers)
	ledger, stop := load(t, ctx, servers)
	acknowledged(t, ledger, 100)
	for range crashes {
		leader, err := procs.Leader(ctx, servers)
		if err != nil {
			t.Fatal(err)
		}
		ledger.ResetGap()
		leader.Kill()
		acknowledged(t, ledger, 100)
		t.Logf("killed %s: %v without an answer", leader.Name, ledger.LongestGap())
		if err := leader.Start(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	verify(t, ctx, ledger, servers...)

	for _, s := range servers {
		s.Kill()
	}
	for _, s := range servers {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := procs.Leader(ctx, servers); err != nil {
		t.Fatal(err)
	}
	verify(t, ctx, ledger, servers...)
	c := ledger.Counts()
	t.Logf("%d acknowledged, %d removed, %d of unknown fate", c.Added, c.Removed, c.Unknown)
}

// SIGTERM hands leadership over first: nothing is lost, and nobody waits for an election.
func TestStopLeader(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	servers, err := procs.NewCluster(processes(t), 3)
	if err != nil {
		t.Fatal(err)
	}
	startAll(t, servers)
	ledger, stop := load(t, ctx, servers)
	acknowledged(t, ledger, 100)
	for range 3 {
		leader, err := procs.Leader(ctx, servers)
		if err != nil {
			t.Fatal(err)
		}
		ledger.ResetGap()
		if err := leader.Stop(); err != nil {
			t.Fatal(err)
		}
		acknowledged(t, ledger, 100)
		t.Logf("stopped %s: %v without an answer", leader.Name, ledger.LongestGap())
		if err := leader.Start(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	verify(t, ctx, ledger, servers...)
}
