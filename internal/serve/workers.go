package serve

import (
	"sync"
	"time"
)

// A task is what a worker runs: a connection, a request, or the writing of answers.
type task interface{ run() }

// workerIdle is about how long a worker is kept idle.
const workerIdle = 10 * time.Second

// workers are goroutines that are kept when their task is done, with the stack that they have grown. The worker that
// became idle last is used first. Those at the bottom, which have not been needed for a while, end.
type workers struct {
	wg sync.WaitGroup // of the goroutines

	mu     sync.Mutex
	idle   []*worker
	unused int // the fewest idle since the last trim: so many at the bottom have not been needed
	timer  *time.Timer
	armed  bool
	closed bool
}

type worker struct{ tasks chan task }

// run gives t to a worker. It does not wait for the worker.
func (p *workers) run(t task) {
	p.mu.Lock()
	if n := len(p.idle) - 1; n >= 0 {
		w := p.idle[n]
		p.idle[n] = nil
		p.idle = p.idle[:n]
		p.unused = min(p.unused, n)
		p.mu.Unlock()
		w.tasks <- t // has room: an idle worker has no task
		return
	}
	p.wg.Add(1)
	p.mu.Unlock()
	go p.work(&worker{tasks: make(chan task, 1)}, t)
}

func (p *workers) work(w *worker, t task) {
	defer p.wg.Done()
	for ok := true; ok; {
		t.run()
		t = nil
		if !p.park(w) {
			return
		}
		t, ok = <-w.tasks
	}
}

func (p *workers) park(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.idle = append(p.idle, w)
	if !p.armed {
		p.armed = true
		p.unused = 0
		if p.timer == nil {
			p.timer = time.AfterFunc(workerIdle, p.trim)
		} else {
			p.timer.Reset(workerIdle)
		}
	}
	return true
}

// trim ends the workers that have not been needed since the last trim.
func (p *workers) trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	for _, w := range p.idle[:p.unused] {
		close(w.tasks)
	}
	n := copy(p.idle, p.idle[p.unused:])
	clear(p.idle[n:])
	p.idle = p.idle[:n]
	p.unused = n
	p.armed = n > 0
	if p.armed {
		p.timer.Reset(workerIdle)
	}
}

// close ends idle workers now, and the others when their task is done. It does not wait.
func (p *workers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	for _, w := range p.idle {
		close(w.tasks)
	}
	p.idle = nil
}
