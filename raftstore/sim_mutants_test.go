//go:build mutants

package raftstore

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore/internal/mutant"
)

// mutantPatience is how long the simulation may take to find that a mechanism is missing.
const mutantPatience = 3 * time.Minute

// TestSimMutants takes each mechanism away in its turn, and has the simulation find that.
func TestSimMutants(t *testing.T) {
	kinds, err := simKinds("")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		name string
		on   *bool
	}{
		{"no read round", &mutant.NoReadRound},
		{"no deduplication", &mutant.NoResults},
		{"votes by address", &mutant.VoteForPlaces},
		{"one server ID for all lives of a name", &mutant.OneLife},
		{"expiry by stamps only", &mutant.StampsOnly},
	} {
		*m.on = true
		seed, fail, schedules, took := findOne(t, kinds)
		*m.on = false
		if fail == "" {
			t.Errorf("%s: not found in %d schedules, %s", m.name, schedules, took)
			continue
		}
		t.Logf("%s: found after %d schedules, %s: seed %d: %s", m.name, schedules, took, seed, fail)
	}
}

// findOne runs schedules until one fails.
func findOne(t *testing.T, kinds []string) (seed uint64, fail string, schedules int, took time.Duration) {
	total := &simCount{faults: map[string]int{}}
	var next atomic.Uint64
	var found atomic.Bool
	var mu sync.Mutex
	var wg sync.WaitGroup
	began := time.Now()
	for range 5 {
		wg.Go(func() {
			for !found.Load() && time.Since(began) < mutantPatience {
				n := next.Add(1)
				broken := runSim(t, n, kinds, simLate, false, total)
				if broken == "" {
					continue
				}
				mu.Lock()
				if fail == "" {
					seed, fail, took = n, broken, time.Since(began)
				}
				mu.Unlock()
				found.Store(true)
			}
		})
	}
	wg.Wait()
	if fail == "" {
		took = time.Since(began)
	}
	return seed, fail, total.schedules, took.Round(100 * time.Millisecond)
}
