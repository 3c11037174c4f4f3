package raftstore

import (
	"context"
	"sync"
)

// Rounds let reads that wait for the same question share its answer. A round is under way at a time, and serves the
// reads that arrived before it began; those that arrive meanwhile wait for the next. The first of them asks.
type rounds struct {
	ask func(context.Context) (readIndex, error)

	mu      sync.Mutex
	waiting []chan<- outcome
	running bool
	closed  bool
	wg      sync.WaitGroup
}

type outcome struct {
	index readIndex
	err   error
}

func newRounds(ask func(context.Context) (readIndex, error)) *rounds { return &rounds{ask: ask} }

// close has the reads that wait told to retry, and waits for the round that is under way.
func (r *rounds) close() {
	r.mu.Lock()
	r.closed = true
	waiting := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	for _, w := range waiting {
		w <- outcome{err: errRetry}
	}
	r.wg.Wait()
}

// wait gives the answer of a round that began after the call.
func (r *rounds) wait(ctx context.Context) (readIndex, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return readIndex{}, errRetry
	}
	if !r.running {
		r.running = true
		r.wg.Add(1)
		r.mu.Unlock()
		index, err := r.ask(ctx)
		r.next()
		return index, err
	}
	answer := make(chan outcome, 1)
	r.waiting = append(r.waiting, answer)
	r.mu.Unlock()
	select {
	case o := <-answer:
		return o.index, o.err
	case <-ctx.Done():
		return readIndex{}, ctx.Err()
	}
}

// next ends a round, and has another goroutine make those that are waited for.
func (r *rounds) next() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		r.running = false
		r.wg.Done()
		return
	}
	waiting := r.waiting
	r.waiting = nil
	go func() {
		index, err := r.ask(context.Background())
		for _, w := range waiting {
			w <- outcome{index, err}
		}
		r.next()
	}()
}
