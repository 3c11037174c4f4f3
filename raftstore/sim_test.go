package raftstore

import (
	"fmt"
	"maps"
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

// The simulation: whole clusters in this process, with Raft's times at a tenth or less, on a network, disks and clocks
// that fail. Each schedule takes about a second, mostly waiting; several run at the same time.
//
//	make sim SIM=10m                 as many schedules as there is time for; a line for each that fails, the counts at the end
//	SIM_SEED=7 make sim              one schedule, with what happens to the nodes and what they log
//	SIM_FAULTS=kill,cut make sim     only these kinds of faults; with a - before it, all but that one
//	SIM_PARALLEL=8, SIM_COUNT=100    how many run at the same time; how many in all
//	SIM_STORY=1                      with each that fails, all calls on the id that broke a rule, or what the nodes say
//
// "go test" runs up to a hundred in 40 s, two at a time, with the race detector without those in simLeftOut. "make
// sim-mutants" shows that a missing safety mechanism is found.
//
// A schedule is the faults with their times, and the calls of the clients: it follows from its seed. How goroutines are
// interleaved does not, so that a seed may have to be replayed a few times: SIM_COUNT=20 with it.
//
// What there is:
//
//	sim_net_test.go, sim_conn_test.go    the network: links that are cut, hold, lose, delay by kind and size, refuse
//	sim_disk_test.go                     disks for the Raft log and votes, which keep what was synced, and hang
//	sim_node_test.go                     machines on which a node is started, killed, wiped, restored
//	sim_run_test.go                      a schedule: its queue of actions, its end
//	sim_faults_test.go                   the kinds of faults, by name: a new one is a function in the table there
//	sim_member_test.go                   those that change the membership, or make a node lose what it has
//	sim_scripts_test.go                  several faults in a certain order, as past bugs needed them
//	sim_client_test.go                   clients, and the story of each id
//	sim_check_test.go                    whether a story can be true (linearizability, with sessions that expire)
//	sim_watch_test.go                    one leader a term, equal entries at equal indexes, equal states at equal indexes
//
// A schedule keeps to what the store promises: only one node at a time loses what it had synced, and only when all
// others are up and vote (sim.whole). What fails names a rule: "two leaders", "another entry", "another state", "not
// linearizable", "session lost", "expired returned", "does not answer", "start", "ended", "goroutines", or "simulation"
// for an error of its own.

// simLateTest takes the place of simLate in "go test", where others' tests run beside: what is promised.
const simLateTest = time.Second

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
		first, deadline = uint64(time.Now().Unix()%1e5)*1e5, time.Now().Add(long)
		count = envNumber("SIM_COUNT", 1<<31)
	case os.Getenv("SIM_COUNT") != "":
		deadline = time.Now().Add(time.Hour)
	}
	list, late := os.Getenv("SIM_FAULTS"), simLate
	if list == "" && !one && long == 0 && os.Getenv("SIM_COUNT") == "" {
		list, late = simLeftOut, simLateTest
		parallel = envNumber("SIM_PARALLEL", 2) // beside other tests, with the race detector: more would starve each other
	}
	kinds, err := simKinds(list)
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
				if broken := runSim(t, seed, kinds, late, one, total); broken != "" {
					t.Errorf("seed %d %s", seed, broken)
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
