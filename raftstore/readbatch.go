package raftstore

import (
	"context"
	"sync"
)

// A readBatch lets reads share the answer to one question. One round is under way at a time, and serves the reads that
// arrived before the round began. Reads that arrive meanwhile wait for the next round. The first read of an idle batch
// asks by itself.
type readBatch struct {
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

func newReadBatch(ask func(context.Context) (readIndex, error)) *readBatch {
	return &readBatch{ask: ask}
}

// close tells waiting reads to retry, and waits for the round that is under way.
func (r *readBatch) close() {
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
func (r *readBatch) wait(ctx context.Context) (readIndex, error) {
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

// next ends a round. If reads wait, another goroutine makes the next round.
func (r *readBatch) next() {
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
