package main

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// warmUp is which part of a work's time it runs before it is measured.
const warmUp = 4

// A load is a work under way on a contestant's servers.
type load struct {
	work      work
	store     store
	text      []byte    // that data are made of
	stored    []session // to be read
	begin     time.Time // answers count from here
	end       time.Time // to here
	recorders []*recorder
}

// A measurement is what a load has found.
type measurement struct {
	latency     *hdrhistogram.Histogram // of the good answers in the time
	errors      tally
	seconds     float64
	used        *usage // in the time; nil when that is not known
	usedUnknown error  // why
}

// run puts the load on the servers for a while and the given time after it, of which it tells what happened. Usage is read
// at both ends of that time.
func (l *load) run(ctx context.Context, duration time.Duration, read func() (usage, error)) *measurement {
	l.begin = time.Now().Add(duration / warmUp)
	l.end = l.begin.Add(duration)
	for range min(l.work.callers, 2*runtime.GOMAXPROCS(0)) {
		l.recorders = append(l.recorders, newRecorder())
	}
	var callers sync.WaitGroup
	for i := range l.work.callers {
		callers.Go(func() { l.caller(ctx, i) })
	}
	m := &measurement{latency: hdrhistogram.New(leastLatency, mostLatency, 3), errors: tally{}, seconds: duration.Seconds()}
	var before, after usage
	if sleepUntil(ctx, l.begin) == nil {
		before, m.usedUnknown = read()
	}
	if sleepUntil(ctx, l.end) == nil && m.usedUnknown == nil {
		after, m.usedUnknown = read()
	}
	callers.Wait()
	if m.usedUnknown == nil {
		m.used = after.since(before)
	}
	for _, r := range l.recorders {
		m.latency.Merge(r.latency)
		m.errors.merge(r.errors)
	}
	return m
}

// caller asks, one request after another. It finishes the one that is under way at the end, so that the next load finds
// the servers at rest.
func (l *load) caller(ctx context.Context, i int) {
	rec := l.recorders[i%len(l.recorders)]
	maker := newMaker(l.text)
	for n := i; ctx.Err() == nil; {
		ask := l.next(maker, n)
		if l.work.callers < nodes {
			n++
		}
		asked := time.Now()
		if !asked.Before(l.end) {
			return
		}
		err := ask(ctx)
		answered := time.Now()
		switch {
		case err != nil && ctx.Err() != nil:
			return
		case err != nil:
			rec.bad(err)
		case answered.After(l.begin) && answered.Before(l.end):
			rec.good(answered.Sub(asked))
		}
	}
}

// next gets a request ready.
func (l *load) next(m *maker, way int) func(context.Context) error {
	if l.work.op == opAdd {
		s := m.session()
		return func(ctx context.Context) error { return l.store.add(ctx, way, s) }
	}
	s := l.stored[m.pick.IntN(len(l.stored))]
	return func(ctx context.Context) error {
		data, err := l.store.get(ctx, way, s.id)
		if err == nil && !bytes.Equal(data, s.data) {
			return errData
		}
		return err
	}
}

// sleepUntil returns at that time, or earlier with an error when ctx is done.
func sleepUntil(ctx context.Context, at time.Time) error {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
