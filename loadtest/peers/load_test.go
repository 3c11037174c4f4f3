package main

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// fakeStore has the sessions of a fakeContestant.
type fakeStore struct {
	mu       sync.Mutex
	sessions map[string][]byte
	asked    map[int]int // the number of calls, by node
	forget   bool
}

// fakeClient is a connection to one node of a fakeContestant.
type fakeClient struct {
	*fakeStore
	node int
}

func (f fakeClient) add(_ context.Context, id, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[f.node]++
	if f.sessions[string(id)] != nil {
		return errExists
	}
	f.sessions[string(id)] = bytes.Clone(data)
	return nil
}

func (f fakeClient) get(_ context.Context, id []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[f.node]++
	if data := f.sessions[string(id)]; data != nil && !f.forget {
		return data, nil
	}
	return nil, errMissing
}

func (f fakeClient) Close() error { return nil }

// fakeContestant has a fakeStore.
type fakeContestant struct {
	contestant
	store *fakeStore
}

func (f fakeContestant) connect(callers int) ([]client, error) {
	return connectNodes(callers, 2, func(node int) (client, error) { return fakeClient{f.store, node}, nil })
}

// Callers stay with a node, or go round the nodes when they are fewer. Usage is read at both ends of the measured time.
// An answer other than what was stored is an error.
func TestWork(t *testing.T) {
	f := &fakeStore{sessions: map[string][]byte{}, asked: map[int]int{}}
	o, _ := newOptions()
	o.sessions, o.size, o.duration = 10, 100, 40*time.Millisecond
	b, on := newBench(o, nil, "", t.Logf), &farm{contestant: fakeContestant{store: f}}
	lb, err := b.load(t.Context(), on, true)
	if err != nil || len(f.sessions) != 10 {
		t.Fatalf("%d sessions: %v", len(f.sessions), err)
	}
	reads := uint64(0)
	read := func(*farm) (usage, error) {
		reads++
		return usage{servers: time.Duration(reads * reads), syncs: []uint64{reads}}, nil
	}
	for _, w := range []work{{opGet, 1}, {opAdd, 2}, {opAdd, 1}, {opGet, 7}} {
		clear(f.asked)
		reads = 0
		m, err := b.work(t.Context(), on, w, lb, read)
		if err != nil {
			t.Fatal(err)
		}
		if m.Total.Good == 0 || len(m.errors) > 0 || len(f.asked) != nodes ||
			m.used.servers != 3 || m.used.syncs[0] != 1 {
			t.Errorf("%v: %+v, errors %v, used %+v, by node %v", w, m.Total, m.errors, m.used, f.asked)
		}
	}
	f.forget = true
	m, err := b.work(t.Context(), on, work{opGet, 3}, lb, func(*farm) (usage, error) {
		return usage{}, errors.ErrUnsupported
	})
	if err != nil || m.Total.Good != 0 || m.errors[errMissing.Error()] == 0 || m.used != nil || m.usedUnknown == nil {
		t.Errorf("of what is forgotten: %+v, %v", m, err)
	}
}

// A caller stays with its node, unless there are fewer callers than nodes.
func TestCallersOf(t *testing.T) {
	f := &fakeStore{sessions: map[string][]byte{}, asked: map[int]int{}}
	for callers, want := range map[int]int{1: nodes, nodes - 1: nodes, nodes: 1, 2 * nodes: 1} {
		clear(f.asked)
		clients, _ := fakeContestant{store: f}.connect(callers)
		c, _ := callersOf(clients, callers)(0)
		for range 2 * nodes {
			_, _ = c.Get(t.Context(), []byte("id"))
		}
		if len(f.asked) != want {
			t.Errorf("one of %d asks %d nodes", callers, len(f.asked))
		}
	}
}
