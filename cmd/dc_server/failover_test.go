package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/raftstore"
)

// The environment variables that TestFailovers goes by: how many leaders are killed for each kind of log; another
// dc_server that is measured in turns with this one; and whether the slow ones are shown with what the survivors
// logged. make bench-failover sets them.
const (
	failoverKills = "DISTCACHE_FAILOVERS"
	failoverOther = "DISTCACHE_FAILOVER_OTHER"
	failoverLogs  = "DISTCACHE_FAILOVER_LOGS"
)

const (
	slowFailover  = 300 * time.Millisecond
	failoverBound = time.Minute // for each step, or the test fails
	failoverPhase = 50 * time.Millisecond
)

// TestFailovers kills the leader of three nodes with SIGKILL, again and again, and measures how long it takes until the
// two survivors answer writes and linearizable reads. It judges no figure: it fails when an answer is wrong or none
// comes.
func TestFailovers(t *testing.T) {
	kills, err := strconv.Atoi(os.Getenv(failoverKills))
	if err != nil {
		t.Skipf("%s says how many leaders are killed; make bench-failover sets it", failoverKills)
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, kind := range []raftstore.LogKind{raftstore.LogBolt, raftstore.LogWAL} {
		t.Run(kind.String(), func(t *testing.T) {
			before := loadAverage()
			cfg := processes(t)
			fleets := []*fleet{newFleet(t, ctx, "this build", cfg, kind)}
			if other := os.Getenv(failoverOther); other != "" {
				fleets = append(fleets, newFleet(t, ctx, other, procs.Config{Program: []string{other}, Dir: t.TempDir()}, kind))
			}
			for i := range kills {
				for j := range fleets {
					fleets[(i+j)%len(fleets)].measure(t, ctx)
				}
			}
			for _, f := range fleets {
				t.Logf("\n%v\nload average before and after: %s and %s", f, before, loadAverage())
			}
		})
	}
}

// A fleet is three nodes of one program.
type fleet struct {
	name    string
	servers []*procs.Server
	known   session // that is read
	added   uint64
	kills   []kill
}

func newFleet(t *testing.T, ctx context.Context, name string, cfg procs.Config, kind raftstore.LogKind) *fleet {
	t.Helper()
	servers, err := procs.NewCluster(cfg, 3, "-raft-log", kind.String())
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{name: fmt.Sprintf("%s, %s", kind, name), servers: servers,
		known: session{[]byte("known"), []byte("to all")}}
	startAll(t, servers)
	serving(t, ctx, servers...)
	a, err := newAsker(servers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Add(ctx, f.known.id, f.known.data, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	return f
}

// A kill is how a leader was replaced.
type kill struct {
	victim    string
	survivors []*procs.Server
	add, get  [2]time.Duration // from the kill to the first answer of each survivor
	logs      string
}

// slowest is when both survivors answered everything.
func (k *kill) slowest() time.Duration { return max(slices.Max(k.add[:]), slices.Max(k.get[:])) }

func (k *kill) String() string {
	s := fmt.Sprintf("%s was killed", k.victim)
	for i, server := range k.survivors {
		s += fmt.Sprintf("; %s: ADD %d ms, GET %d ms", server.Name, k.add[i].Milliseconds(), k.get[i].Milliseconds())
	}
	return s + k.logs
}

// measure kills the leader, and starts it again.
func (f *fleet) measure(t *testing.T, ctx context.Context) {
	t.Helper()
	step, cancel := context.WithTimeout(ctx, failoverBound)
	defer cancel()
	victim, err := procs.Leader(step, f.servers)
	if err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	k := kill{victim: victim.Name, survivors: slices.DeleteFunc(slices.Clone(f.servers),
		func(s *procs.Server) bool { return s == victim })}
	if err := f.replace(step, victim, &k); err != nil {
		t.Fatalf("%s: %s was killed: %v", f.name, k.victim, err)
	}
	f.kills = append(f.kills, k)
	if err := f.bringBack(ctx, victim); err != nil {
		t.Fatalf("%s: %s has not caught up: %v", f.name, k.victim, err)
	}
}

// replace kills the leader while both survivors are asked.
func (f *fleet) replace(ctx context.Context, victim *procs.Server, k *kill) error {
	q, err := f.ask(ctx, k.survivors)
	if err != nil {
		return err
	}
	defer q.stop()
	if _, err := q.first(ctx, time.Now()); err != nil {
		return err
	}
	<-time.After(rand.N(failoverPhase)) // a kill comes at any time between two heartbeats
	killed := time.Now()
	victim.Kill()
	took, err := q.first(ctx, killed)
	if err != nil {
		return err
	}
	k.add, k.get = [2]time.Duration(took[:2]), [2]time.Duration(took[2:])
	if end := killed.Add(k.slowest()); k.slowest() > slowFailover && os.Getenv(failoverLogs) != "" {
		for _, s := range k.survivors {
			k.logs += fmt.Sprintf("\n  %s, from %s to %s, logged:\n%s", s.Name, clockOf(killed), clockOf(end),
				loggedBetween(s.Log(), killed, end))
		}
	}
	return nil
}

// bringBack starts a node again and waits until it has what the leader has.
func (f *fleet) bringBack(ctx context.Context, s *procs.Server) error {
	ctx, cancel := context.WithTimeout(ctx, failoverBound)
	defer cancel()
	if err := s.Start(); err != nil {
		return err
	}
	leader, err := procs.Leader(ctx, f.servers)
	if err != nil {
		return err
	}
	goal, err := leader.Status(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if st, err := s.Status(ctx); err == nil && st.Applied >= goal.Commit {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// String are the figures, and the slow ones.
func (f *fleet) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s: %d kills, ms\tmin\tmedian\tp90\tmax\tover %d\t\n", f.name, len(f.kills),
		slowFailover.Milliseconds())
	for _, r := range []struct {
		figure string
		of     func(kill) time.Duration
	}{
		{"next ADD, at either survivor", func(k kill) time.Duration { return slices.Min(k.add[:]) }},
		{"next ADD, at both", func(k kill) time.Duration { return slices.Max(k.add[:]) }},
		{"next GET, at either survivor", func(k kill) time.Duration { return slices.Min(k.get[:]) }},
		{"next GET, at both", func(k kill) time.Duration { return slices.Max(k.get[:]) }},
	} {
		var list []time.Duration
		slow := 0
		for _, k := range f.kills {
			d := r.of(k)
			if list = append(list, d); d > slowFailover {
				slow++
			}
		}
		slices.Sort(list)
		quantile := func(q float64) float64 { return float64(list[int(q*float64(len(list)-1))].Microseconds()) / 1e3 }
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%d\t\n", r.figure,
			quantile(0), quantile(0.5), quantile(0.9), quantile(1), slow)
	}
	w.Flush()
	for i, k := range f.kills {
		if k.slowest() > slowFailover {
			fmt.Fprintf(&out, "kill %d: %v\n", i+1, &k)
		}
	}
	return out.String()
}
