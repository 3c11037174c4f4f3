package main

import (
	"context"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
)

// soakTime is the environment variable that says for how long TestSoak goes on, as a duration: make soak sets it.
const soakTime = "DISTCACHE_SOAK"

// Three nodes are killed, stopped and frozen at random moments, one, two or all at once, for as long as one likes. What
// they acknowledged must be there at every pause.
func TestSoak(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv(soakTime))
	if err != nil {
		t.Skipf("%s says for how long, 10m for example; make soak sets it", soakTime)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d+5*time.Minute)
	defer cancel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	servers, err := procs.NewCluster(processes(t), 3)
	if err != nil {
		t.Fatal(err)
	}
	startAll(t, servers)
	rounds := 0
	for began := time.Now(); time.Since(began) < d; rounds++ {
		ledger, stop := load(t, ctx, servers)
		acknowledged(t, ledger, 50+r.Uint64N(300))
		for range 1 + r.IntN(4) {
			trouble(t, ctx, r, servers)
			acknowledged(t, ledger, 1+r.Uint64N(200))
		}
		stop()
		if _, err := procs.Leader(ctx, servers); err != nil {
			t.Fatal(err)
		}
		verify(t, ctx, ledger, servers...)
	}
	t.Logf("%d rounds", rounds)
}

// trouble does something bad to some of the servers, and makes it good again.
func trouble(t *testing.T, ctx context.Context, r *rand.Rand, servers []*procs.Server) {
	t.Helper()
	victims := make([]*procs.Server, 0, len(servers))
	for _, i := range r.Perm(len(servers))[:1+r.IntN(len(servers))] {
		victims = append(victims, servers[i])
	}
	// Something may be under way, or not, when it happens.
	<-time.After(time.Duration(r.IntN(300)) * time.Millisecond)
	switch r.IntN(4) {
	case 0:
		for _, s := range victims {
			if err := s.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(time.Duration(r.IntN(3000)) * time.Millisecond)
		for _, s := range victims {
			if err := s.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		}
		return
	case 1:
		for _, s := range victims {
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
		}
	default:
		for _, s := range victims {
			s.Kill()
		}
	}
	for _, s := range victims {
		<-time.After(time.Duration(r.IntN(300)) * time.Millisecond)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
}
