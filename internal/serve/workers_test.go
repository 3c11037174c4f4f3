package serve

import (
	"testing"
	"testing/synctest"
	"time"
)

type taskFunc func()

func (f taskFunc) run() { f() }

// Workers are kept for the next task and end when nobody has needed them for a while, or at close.
func TestWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p workers
		idle := func() int {
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.idle)
		}
		gate := make(chan int)
		for range 10 {
			p.run(taskFunc(func() { <-gate }))
		}
		if n := idle(); n != 0 {
			t.Fatalf("%d idle with 10 at work", n)
		}
		close(gate)
		if n := idle(); n != 10 {
			t.Fatalf("%d idle, want 10", n)
		}
		// One at a time needs one worker: the others go.
		for range 60 {
			time.Sleep(workerIdle / 20)
			p.run(taskFunc(func() {}))
		}
		if n := idle(); n != 1 {
			t.Errorf("%d idle after light work, want 1", n)
		}
		time.Sleep(3 * workerIdle)
		if n := idle(); n != 0 {
			t.Errorf("%d idle after none", n)
		}
		ran := false
		p.run(taskFunc(func() { ran = true }))
		if n := idle(); n != 1 || !ran {
			t.Errorf("%d idle; ran is %v", n, ran)
		}
		p.close()
		p.run(taskFunc(func() {}))
		p.wg.Wait()
		if n := idle(); n != 0 {
			t.Errorf("%d idle after close", n)
		}
	})
}
