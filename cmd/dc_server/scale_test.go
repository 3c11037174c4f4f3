package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
)

// The environment variables that TestScale goes by: how many sessions are many, and which parts are wanted, with commas
// between them (get,add,restart,join,compact), all when that is empty. make bench-scale sets them.
const (
	scaleSessions = "DISTCACHE_SCALE"
	scaleParts    = "DISTCACHE_SCALE_PARTS"
)

const (
	fewSessions  = 10_000
	scaleRounds  = 5
	scaleRepeats = 3 // of what takes long
	scaleTime    = 4 * time.Second
	scaleLonger  = 10 * time.Second // where a percentile is compared with another
	ramp         = 500 * time.Millisecond
)

// TestScale measures how a node, and a cluster of three, do with few sessions and with many, side by side: rates,
// memory, disk, restarts, a new node, compaction. It judges no figure: it fails when an answer is wrong. Rounds with
// few and many sessions alternate, so that whatever else goes on on the machine meets both.
func TestScale(t *testing.T) {
	many, err := strconv.Atoi(os.Getenv(scaleSessions))
	if err != nil {
		t.Skipf("%s says with how many sessions; make bench-scale sets it", scaleSessions)
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM) // gigabytes would stay behind
	defer stop()
	t.Logf("%d processors, load average %s", runtime.NumCPU(), loadAverage())
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("nodes=%d", nodes), func(t *testing.T) { scaleOf(ctx, t, nodes, many) })
	}
}

// A scale is the benchmark of farms of so many nodes.
type scale struct {
	*testing.T
	ctx       context.Context
	cfg       procs.Config
	few, many *farm
	found     table // with few and many sessions
	during    table // before and during something
}

func scaleOf(ctx context.Context, t *testing.T, nodes, many int) {
	s := &scale{T: t, ctx: ctx, cfg: processes(t)}
	s.found = table{title: fmt.Sprintf("nodes: %d", nodes), one: fmt.Sprintf("%d sessions", fewSessions),
		two: fmt.Sprintf("%d sessions", many)}
	s.during = table{title: fmt.Sprintf("nodes: %d, sessions: %d", nodes, many), one: "before", two: "during"}
	parts := s.parts(nodes)
	if len(parts) == 0 {
		t.Skip("none of its parts is wanted")
	}
	defer func() { t.Logf("\n%v\n%v", &s.found, &s.during) }()
	s.few, s.many = s.farm("few", nodes), s.farm("many", nodes)
	s.fill([]int{fewSessions, many})
	for _, p := range parts {
		began, load := time.Now(), loadAverage()
		p.do()
		t.Logf("%s: %.0f s, load average before and after it %s and %s", p.name, time.Since(began).Seconds(), load,
			loadAverage())
	}
}

// A scalePart is what a user may leave out.
type scalePart struct {
	name string
	do   func()
}

// parts are those that are wanted, in order.
func (s *scale) parts(nodes int) []scalePart {
	all := []scalePart{
		{"get", func() { s.rates("GET", task{}) }},
		{"add", func() { s.rates("ADD", task{adds: 100}) }},
		{"restart", s.restarts},
		{"join", s.joins},
		{"compact", s.compacts},
	}
	wanted := os.Getenv(scaleParts)
	return slices.DeleteFunc(all, func(p scalePart) bool {
		return p.name == "join" && nodes == 1 || wanted != "" && !slices.Contains(strings.Split(wanted, ","), p.name)
	})
}

func (s *scale) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// farm starts nodes.
func (s *scale) farm(name string, nodes int) *farm {
	cfg := s.cfg
	cfg.Dir += "/" + name
	servers, err := procs.NewCluster(cfg, nodes, "-sessions", "0")
	s.check(err)
	if nodes == 1 {
		servers[0].Flags("-sessions", "0")
	}
	startAll(s.T, servers)
	serving(s.T, s.ctx, servers...)
	return &farm{servers: servers}
}

// fill fills both farms and tells what that cost.
func (s *scale) fill(sessions []int) {
	perSession := func(f *farm, figure func(*procs.Server) int64) series {
		var most int64
		for _, server := range f.servers {
			most = max(most, figure(server))
		}
		return series{float64(most) / float64(f.load.Sessions)}
	}
	var seconds, state, log, written [2]series
	for i, f := range []*farm{s.few, s.many} {
		began := time.Now()
		s.check(f.fill(s.ctx, sessions[i]))
		seconds[i] = series{time.Since(began).Seconds()}
		s.Logf("%d sessions filled in: %.1f s", sessions[i], seconds[i][0])
		s.check(f.settle(s.ctx))
		state[i] = perSession(f, func(server *procs.Server) int64 { return s.status(server).StateSize })
		log[i] = perSession(f, func(server *procs.Server) int64 { return s.status(server).LogSize })
		written[i] = perSession(f, func(server *procs.Server) int64 { return s.usage(server).Written })
	}
	const stored = scaleData + 32
	perByte := func(list series) series { return series{list[0] / stored} }
	s.found.add("fill, s", seconds[0], seconds[1])
	s.found.add("state file, bytes for each stored", perByte(state[0]), perByte(state[1]))
	s.found.add("log, bytes for each stored", perByte(log[0]), perByte(log[1]))
	s.found.add("written to disk by a node, bytes a session", written[0], written[1])
	s.memory("after the fill")
}

// rates measures a task on both farms in turn.
func (s *scale) rates(what string, k task) {
	var rate, p50, p99, cpu, faults [2]series
	for round := range scaleRounds {
		for i := range 2 {
			i = (i + round) % 2
			f := []*farm{s.few, s.many}[i]
			o := s.run(f, k, scaleTime)
			rate[i] = append(rate[i], o.Total.PerSecond)
			p50[i] = append(p50[i], o.Total.Latency.P50/1e3)
			p99[i] = append(p99[i], o.Total.Latency.P99/1e3)
			cpu[i] = append(cpu[i], o.each(o.cpu.Microseconds()))
			faults[i] = append(faults[i], o.each(o.faults))
			s.check(f.settle(s.ctx))
		}
	}
	r := s.found.add(what+", a second", rate[0], rate[1])
	r.atLeast(0.85, r.ratio())
	s.found.add(what+", p50, ms", p50[0], p50[1])
	s.found.add(what+", p99, ms", p99[0], p99[1])
	s.found.add(what+", processor time of the nodes, us each", cpu[0], cpu[1])
	s.found.add(what+", page faults that read the disk, each", faults[0], faults[1])
	s.memory("after " + what)
}

// run has a farm do a task for a while.
func (s *scale) run(f *farm, k task, d time.Duration) *outcome {
	s.Helper()
	return s.until(f, k, func() { s.sleep(d) })
}

// until has a farm do a task until something else is over. Wrong answers fail the test.
func (s *scale) until(f *farm, k task, other func()) *outcome {
	s.Helper()
	s.check(f.warm("state.db"))
	s.do(f, k, func() { s.sleep(ramp) })
	o := s.do(f, k, other)
	if n := o.refused(); n > 0 {
		s.Logf("%d requests were answered DISCONNECTED", n)
	}
	if o.Total.Missed > 0 || o.Total.Errors > o.refused() {
		s.Errorf("%d sessions were missing; errors: %v", o.Total.Missed, o.Errors)
	}
	return o
}

func (s *scale) do(f *farm, k task, other func()) *outcome {
	s.Helper()
	o, err := f.do(s.ctx, k, other)
	s.check(err)
	return o
}

func (s *scale) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}

// memory notes how much the node uses that uses most of its own.
func (s *scale) memory(when string) {
	var anon, file [2]series
	for i, f := range []*farm{s.few, s.many} {
		var most procs.Usage
		for _, server := range f.servers {
			if u := s.usage(server); u.Anon > most.Anon {
				most = u
			}
		}
		anon[i], file[i] = series{float64(most.Anon) / (1 << 20)}, series{float64(most.File) / (1 << 20)}
	}
	s.found.add("RssAnon "+when+", MiB", anon[0], anon[1]).atMost(300, anon[1])
	s.found.add("RssFile "+when+", MiB", file[0], file[1])
}
