package raftstore

// The simulation: whole clusters in this process, with Raft's times at a tenth or less, on a network, disks and clocks that
// fail. Each schedule takes about a second, mostly waiting; several run at the same time.
//
//	make sim SIM=10m                 as many schedules as there is time for; a line for each that fails, the counts at the end
//	SIM_SEED=7 make sim              one schedule, with what happens to the nodes and what they log
//	SIM_FAULTS=kill,cut make sim     only these kinds of faults; with a - before it, all but that one
//	SIM_PARALLEL=8, SIM_COUNT=100    how many run at the same time; how many in all
//
// "go test" runs a hundred. A schedule, which is the faults with their times and the calls of the clients, follows from its
// seed; how goroutines are interleaved does not, so that a seed may have to be replayed a few times: SIM_COUNT=20 with it.
//
// What there is:
//
//	sim_net_test.go, sim_conn_test.go    the network: links that are cut, hold, lose, delay by kind and size, refuse
//	sim_disk_test.go                     disks for the Raft log and votes, which keep what was synced, and hang
//	sim_node_test.go                     machines on which a node is started, killed, wiped, restored, moved
//	sim_faults_test.go                   the kinds of faults, by name: a new one is a function in the table there
//	sim_scripts_test.go                  faults that are several in a certain order, as past bugs needed them
//	sim_client_test.go                   clients, and the story of each id
//	sim_check_test.go                    whether a story can be true (linearizability, with sessions that expire)
//	sim_watch_test.go                    one leader a term, equal entries at equal indexes, equal states at equal indexes
//
// What fails names a rule: "two leaders", "another entry", "another state", "not linearizable", "session lost", "expired
// returned", "does not answer", "start", "ended", "goroutines", or "simulation" for an error of its own.

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A simCount counts schedules and what happened in them.
type simCount struct {
	mu              sync.Mutex
	schedules       int
	failed          int
	faults          map[string]int
	calls, answered int64
}

func TestSim(t *testing.T) {
	long, err := time.ParseDuration(os.Getenv("SIM"))
	if os.Getenv("SIM") != "" && err != nil {
		t.Fatal(err)
	}
	count, parallel := envNumber("SIM_COUNT", 100), envNumber("SIM_PARALLEL", 5)
	first, one := uint64(1), os.Getenv("SIM_SEED") != ""
	deadline := time.Now().Add(40 * time.Second)
	switch {
	case one:
		first, count = uint64(envNumber("SIM_SEED", 0)), envNumber("SIM_COUNT", 1)
		parallel, deadline = 1, time.Now().Add(time.Hour)
	case long > 0:
		first, deadline = uint64(time.Now().UnixNano()/1000%1e9)*1000, time.Now().Add(long)
		count = envNumber("SIM_COUNT", 1<<31)
	case os.Getenv("SIM_COUNT") != "":
		deadline = time.Now().Add(time.Hour)
	default:
		t.Parallel()
	}
	kinds, err := simKinds(os.Getenv("SIM_FAULTS"))
	if err != nil {
		t.Fatal(err)
	}
	total := &simCount{faults: map[string]int{}}
	var begun atomic.Int64
	var wg sync.WaitGroup
	start, cpu := time.Now(), cpuTime()
	for range parallel {
		wg.Go(func() {
			for time.Now().Before(deadline) {
				i := begun.Add(1) - 1
				if i >= int64(count) {
					return
				}
				seed := first + uint64(i)
				if one {
					seed = first
				}
				fails := runSim(t, seed, kinds, one, total)
				for _, f := range fails {
					t.Errorf("seed %d: %s", seed, f)
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	n := max(1, total.schedules)
	t.Logf("%d schedules in %s, %d failed; %.1f a second, %.2f s of CPU time each; %d calls, %d answered; faults: %s",
		total.schedules, took.Round(time.Second), total.failed, float64(total.schedules)/took.Seconds(),
		(cpuTime()-cpu).Seconds()/float64(n), total.calls, total.answered, total.list())
}

func (c *simCount) list() string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(c.faults)) {
		list = append(list, fmt.Sprintf("%s %d", k, c.faults[k]))
	}
	return strings.Join(list, ", ")
}

func envNumber(name string, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return otherwise
	}
	return n
}

func cpuTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A sim is one schedule being carried out.
type sim struct {
	seed     uint64
	dir      string
	verbose  bool
	began    time.Time
	rng      *rand.Rand // for the driver's goroutine
	fabric   *fabric
	watch    *watch
	history  *clientHistory
	nodes    []*simNode
	spare    []*simNode // machines that are not used at first
	lives    int
	logBytes int64
	forgot   *simNode // that has lost what it promised, and is not a voter with a new life yet
	queue    []action
	faults   map[string]int
	ending   sync.WaitGroup // of what was killed, and what others were asked for

	calls, answered atomic.Int64

	mu    sync.Mutex
	fails []string
}

// An action is something to be done at a time.
type action struct {
	at time.Duration
	do func()
}

func (s *sim) now() time.Duration { return time.Since(s.began) }

// fail notes that a rule was broken, the first time that this one was.
func (s *sim) fail(what, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if s.verbose {
		fmt.Printf("%9.1fms FAILED %s: %s\n", s.now().Seconds()*1000, what, text)
	}
	for _, f := range s.fails {
		if strings.HasPrefix(f, what+":") {
			return
		}
	}
	if line, _, more := strings.Cut(text, "\n"); more && !s.verbose {
		text = line + " (replay the seed for the story)"
	}
	s.fails = append(s.fails, what+": "+text)
}

func (s *sim) say(format string, args ...any) {
	if s.verbose {
		fmt.Printf("%9.1fms ------ %s\n", s.now().Seconds()*1000, fmt.Sprintf(format, args...))
	}
}

func (s *sim) logger(who string) *slog.Logger {
	if !s.verbose {
		return nil
	}
	h := slog.NewTextHandler(simOut{s, who}, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	return slog.New(h)
}

type simOut struct {
	s   *sim
	who string
}

func (o simOut) Write(b []byte) (int, error) {
	fmt.Printf("%9.1fms %-6s %s", o.s.now().Seconds()*1000, o.who, b)
	return len(b), nil
}

// later has something done after a while, by the driver.
func (s *sim) later(after time.Duration, do func()) {
	a := action{s.now() + after, do}
	i, _ := slices.BinarySearchFunc(s.queue, a, func(x, y action) int {
		if x.at <= y.at {
			return -1
		}
		return 1
	})
	s.queue = slices.Insert(s.queue, i, a)
}

// drive does what is due until there is nothing more.
func (s *sim) drive() {
	for len(s.queue) > 0 {
		a := s.queue[0]
		s.queue = s.queue[1:]
		time.Sleep(a.at - s.now())
		for _, n := range s.nodes {
			n.mind()
		}
		a.do()
	}
}

// runSim carries out the schedule of a seed, and gives what failed.
func runSim(t *testing.T, seed uint64, kinds []string, verbose bool, total *simCount) []string {
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = t.TempDir()
	}
	dir, err := os.MkdirTemp(base, "distcache-sim-")
	if err != nil {
		return []string{err.Error()}
	}
	defer os.RemoveAll(dir)
	s := &sim{seed: seed, dir: dir, verbose: verbose, began: time.Now(), rng: rand.New(rand.NewPCG(seed, 0)),
		fabric: newFabric(seed), faults: map[string]int{}}
	s.watch = newWatch(s.fail)
	s.history = newHistory(s)
	s.plan(kinds)
	s.run()
	for _, n := range append(s.nodes, s.spare...) {
		n.kill(false)
	}
	ended := make(chan struct{})
	go func() { s.ending.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		s.fail("goroutines", "what was killed has not ended")
	}
	s.fabric.close()

	total.mu.Lock()
	defer total.mu.Unlock()
	total.schedules++
	if len(s.fails) > 0 {
		total.failed++
	}
	for k, n := range s.faults {
		total.faults[k] += n
	}
	total.calls += s.calls.Load()
	total.answered += s.answered.Load()
	return s.fails
}

// simPatience is how long a cluster may take to answer when nothing is wrong any more: a hundred heartbeat timeouts.
const simPatience = 100 * simHeartbeat

// run has the clients at work while the driver does what was planned, then mends everything and looks at what there is.
func (s *sim) run() {
	if !s.settle("at the start") {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for i := range simClients {
		clients.Go(func() { s.history.client(ctx, i+1) })
	}
	s.drive()
	cancel()
	clients.Wait()
	s.mend()
	if s.settle("after the faults") {
		s.history.readAll(s.rng, s.nodes)
	}
	s.history.check()
}

// mend ends all faults that have not ended.
func (s *sim) mend() {
	s.say("all is mended")
	for _, a := range s.nodes {
		for _, b := range s.nodes {
			s.fabric.change(a.name, b.name, func(l *link) {
				l.cut.Store(false)
				l.refuse.Store(false)
				l.rule.Store(nil)
			})
		}
		s.fabric.pause(a.name, false)
		a.disk.hang(false)
	}
}

// settle waits until all nodes answer that are not gone, starting those that are down.
func (s *sim) settle(when string) bool {
	deadline := time.Now().Add(simPatience)
	for {
		var bad error
		for _, n := range s.nodes {
			n.mind()
			n.restart()
		}
		for _, n := range s.nodes {
			if n.gone {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), simCall)
			if err := n.answers(ctx); err != nil {
				bad = fmt.Errorf("%s: %w", n.name, err)
			}
			cancel()
			if bad != nil {
				break
			}
		}
		if bad == nil {
			return true
		}
		if time.Now().After(deadline) {
			s.fail("does not answer", "%s, after %s: %v%s", when, simPatience, bad, s.describe())
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// describe is what all nodes say of themselves, a line each.
func (s *sim) describe() string {
	var b strings.Builder
	for _, n := range s.nodes {
		p := n.running()
		if p == nil {
			fmt.Fprintf(&b, "\n\t\t%s down, gone: %v", n.name, n.gone)
			continue
		}
		st := p.Status()
		fmt.Fprintf(&b, "\n\t\t%s at %s: %s voter %v term %d log %d commit %d applied %d leader %s at %s: %s %v", p.who, n.address, st.Role,
			st.Voter, st.Term, st.LastIndex, st.Commit, st.Applied, st.Leader, st.LeaderAt, st.Reason, p.node.Load().servers())
	}
	return b.String()
}
