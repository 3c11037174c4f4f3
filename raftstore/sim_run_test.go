package raftstore

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

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
	lives    int
	logBytes int64
	forgot   int           // how often a node has lost what it promised
	moves    int           // to new addresses
	quiet    bool          // without clients
	void     bool          // what was done is more than the store promises to stand
	patience time.Duration // until all answer, when nothing is wrong any more
	early    time.Duration // so long before its end a session may be gone
	late     time.Duration // for so long after its end a session may be returned
	kinds    string        // of its faults
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
	if line, _, more := strings.Cut(text, "\n"); more && !s.verbose && os.Getenv("SIM_STORY") == "" {
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

// runSim carries out the schedule of a seed, and gives the rules that were broken, empty when none was.
func runSim(t *testing.T, seed uint64, kinds []string, late time.Duration, verbose bool, total *simCount) string {
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = t.TempDir()
	}
	dir, err := os.MkdirTemp(base, "distcache-sim-")
	if err != nil {
		return err.Error()
	}
	defer os.RemoveAll(dir)
	defer time.AfterFunc(simStuck, func() {
		stacks := make([]byte, 1<<22)
		panic(fmt.Sprintf("seed %d does not end\n%s", seed, stacks[:runtime.Stack(stacks, true)]))
	}).Stop()
	s := &sim{seed: seed, dir: dir, late: late, verbose: verbose, began: time.Now(), rng: rand.New(rand.NewPCG(seed, 0)),
		fabric: newFabric(seed), faults: map[string]int{}}
	s.patience, s.early = simPatience, simEarly
	if late > simLate { // others' tests run beside
		s.patience, s.early = 5*simPatience, 5*simEarly
	}
	s.watch = newWatch(s.fail)
	s.history = newHistory(s)
	s.plan(kinds)
	s.run()
	for _, n := range s.nodes {
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
	if s.broken() != "" {
		total.failed++
	}
	for k, n := range s.faults {
		total.faults[k] += n
	}
	total.calls += s.calls.Load()
	total.answered += s.answered.Load()
	return s.broken()
}

// broken is all that failed, in one line but for the stories of a replay.
func (s *sim) broken() string {
	if len(s.fails) == 0 || s.void {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "(%s) %s", s.kinds, s.fails[0])
	for _, f := range s.fails[1:] {
		what, _, _ := strings.Cut(f, ":")
		fmt.Fprintf(&b, "; also: %s", what)
	}
	return b.String()
}

// simStuck is more than any schedule takes.
const simStuck = 90 * time.Second

// simPatience is how long a cluster may take to answer when nothing is wrong any more: 150 heartbeat
// timeouts. Of the times that are not shortened, peernet's memory of where a node was seen is the longest, 5s.
const simPatience = 150 * simHeartbeat

// run has the clients at work while the driver does what was planned, then mends everything and looks at what there is.
func (s *sim) run() {
	if !s.settle("at the start") {
		return
	}
	if !s.quiet { // what nodes register of themselves at first is in all state files
		s.until(s.patience, "all vote", s.whole)
		for _, n := range s.members() {
			if p := n.running(); p != nil {
				_ = p.node.Load().state.Flush()
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for i := range simClients {
		if s.quiet {
			break
		}
		clients.Go(func() { s.history.client(ctx, i+1) })
	}
	s.drive()
	cancel()
	clients.Wait()
	s.mend()
	if s.settle("after the faults") {
		s.history.readAll(s.rng, s.members())
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
	deadline := time.Now().Add(s.patience)
	for {
		var bad error
		for _, n := range s.nodes {
			n.mind()
			n.restart()
		}
		for _, n := range s.nodes {
			if n.gone.Load() {
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
			s.fail("does not answer", "%s, after %s: %v%s", when, s.patience, bad, s.describe())
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
			fmt.Fprintf(&b, "\n\t\t%s down, gone: %v", n.name, n.gone.Load())
			continue
		}
		st := p.Status()
		fmt.Fprintf(&b, "\n\t\t%s at %s: %s voter %v term %d log %d commit %d applied %d leader %s at %s: %s %v", p.who, n.address, st.Role,
			st.Voter, st.Term, st.LastIndex, st.Commit, st.Applied, st.Leader, st.LeaderAt, st.Reason, p.node.Load().raft.Members())
	}
	return b.String()
}
