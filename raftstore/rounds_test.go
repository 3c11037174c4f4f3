package raftstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/raftlog"
)

// leading starts three voters in memory, with a nonvoter that is not there, and gives the leader as a node that serves.
func leading(t *testing.T) *node {
	t.Helper()
	var c raft.Configuration
	var transports []*raft.InmemTransport
	for i := range 3 {
		address, transport := raft.NewInmemTransport("")
		transports = append(transports, transport)
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(fmt.Sprintf("n%d", i+1)), Address: address})
	}
	c.Servers = append(c.Servers, raft.Server{Suffrage: raft.Nonvoter, ID: "n4", Address: "nowhere"})
	leads := make(chan *node, 3)
	for i, a := range transports {
		for _, b := range transports {
			a.Connect(b.LocalAddr(), b)
		}
		cfg := Config{Name: string(c.Servers[i].ID), Heartbeat: time.Second}.withDefaults()
		rc := raftConfig(cfg, c.Servers[i].ID)
		rc.NoSnapshotRestoreOnStart = false
		store, snapshots := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
		if err := raft.BootstrapCluster(rc, store, store, snapshots, a, c); err != nil {
			t.Fatal(err)
		}
		r, err := raft.NewRaft(rc, &gate{}, store, store, snapshots, a)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Shutdown().Error() })
		go func() {
			if <-r.LeaderCh() {
				leads <- &node{cfg: cfg, id: c.Servers[i].ID, raft: r, logs: new(raftlog.Log), stop: make(chan struct{})}
			}
		}()
	}
	n := <-leads
	n.serving.Store(n.raft.CurrentTerm())
	return n
}

// voters answer as they are told.
type voters struct {
	t     *testing.T
	mu    sync.Mutex
	say   map[string]func(ctx context.Context) (uint64, error)
	asked atomic.Int32
}

func (v *voters) term(ctx context.Context, s raft.Server) (uint64, error) {
	v.asked.Add(1)
	if s.Suffrage != raft.Voter {
		v.t.Errorf("%s was asked, which does not vote", s.ID)
	}
	v.mu.Lock()
	f := v.say[string(s.ID)]
	v.mu.Unlock()
	return f(ctx)
}

// start asks without waiting, as nodes do.
func (v *voters) start(ctx context.Context, s raft.Server, answered func(uint64, error)) (forget func()) {
	go func() { answered(v.term(ctx, s)) }()
	return func() {}
}

func rounding(t *testing.T, others ...func(ctx context.Context) (uint64, error)) (*voters, *node) {
	n := leading(t)
	v := &voters{t: t, say: map[string]func(ctx context.Context) (uint64, error){}}
	for i, name := 0, 1; name <= 3; name++ {
		if id := fmt.Sprintf("n%d", name); id != n.cfg.Name {
			v.say[id] = others[i]
			i++
		}
	}
	n.reads = newRounds(func(ctx context.Context) (readIndex, error) { return readIndex{}, n.stillLeads(ctx, v.start) })
	t.Cleanup(n.reads.close)
	return v, n
}

func TestRounds(t *testing.T) {
	term := func(delta uint64) func(context.Context) (uint64, error) {
		return func(context.Context) (uint64, error) { return delta, nil }
	}
	down := func(context.Context) (uint64, error) { return 0, errors.New("down") }
	hangs := func(ctx context.Context) (uint64, error) { <-ctx.Done(); return 0, ctx.Err() }
	const same, later, earlier = 1000, 1001, 999
	for name, c := range map[string]struct {
		a, b func(context.Context) (uint64, error)
		want error
	}{
		"all agree":            {term(same), term(same), nil},
		"one is down":          {term(same), down, nil},
		"one hangs":            {hangs, term(same), nil},
		"one has gone on":      {term(later), term(same), nil},
		"both have gone on":    {term(later), term(later), errRetry},
		"one on, one down":     {down, term(later), errRetry},
		"one behind, one down": {term(earlier), down, errRetry},
		"both are down":        {down, down, errRetry},
		"one down, one hangs":  {down, hangs, errRetry},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var now atomic.Uint64
			relative := func(f func(context.Context) (uint64, error)) func(context.Context) (uint64, error) {
				return func(ctx context.Context) (uint64, error) {
					said, err := f(ctx)
					return now.Load() + said - same, err
				}
			}
			_, n := rounding(t, relative(c.a), relative(c.b))
			now.Store(n.serving.Load())
			if err := n.confirm(context.Background()); err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// A read that arrives while a round is under way is not answered by it: its questions were asked before.
func TestReadWaitsForTheNextRound(t *testing.T) {
	var now atomic.Uint64
	questions, answers := make(chan struct{}, 100), make(chan struct{})
	other := func(ctx context.Context) (uint64, error) {
		questions <- struct{}{}
		select {
		case <-answers:
			return now.Load(), nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	v, n := rounding(t, other, other)
	now.Store(n.serving.Load())
	first, second := make(chan error, 1), make(chan error, 5)
	go func() { first <- n.confirm(context.Background()) }()
	<-questions
	<-questions
	for range cap(second) {
		go func() { second <- n.confirm(context.Background()) }()
	}
	for waiting := 0; waiting < cap(second); {
		n.reads.mu.Lock()
		waiting = len(n.reads.waiting)
		n.reads.mu.Unlock()
	}
	answers <- struct{}{}
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	<-questions
	<-questions
	if len(second) != 0 {
		t.Error("a read was answered by questions from before it came")
	}
	answers <- struct{}{}
	for range cap(second) {
		if err := <-second; err != nil {
			t.Error(err)
		}
	}
	if asked := v.asked.Load(); asked != 4 {
		t.Errorf("%d questions for two rounds of two others", asked)
	}
}

// A deposed leader must not answer, though its round went well.
func TestDeposedDuringRound(t *testing.T) {
	var now uint64
	var n *node
	other := func(context.Context) (uint64, error) {
		n.serving.Store(0)
		return now, nil
	}
	_, n = rounding(t, other, other)
	now = n.serving.Load()
	if err := n.confirm(context.Background()); err != errRetry {
		t.Errorf("got %v", err)
	}
	if err := n.confirm(context.Background()); err != errRetry {
		t.Errorf("after that: %v", err)
	}
}

func TestRoundsEnd(t *testing.T) {
	asked := make(chan struct{}, 10)
	hangs := func(ctx context.Context) (uint64, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return 0, ctx.Err()
	}
	_, n := rounding(t, hangs, hangs)
	ctx, cancel := context.WithCancel(context.Background())
	gaveUp, waits := make(chan error, 1), make(chan error, 1)
	go func() { gaveUp <- n.confirm(ctx) }()
	<-asked
	go func() { waits <- n.confirm(context.Background()) }()
	cancel()
	if err := <-gaveUp; err != context.Canceled {
		t.Errorf("a read whose time is over: %v", err)
	}
	close(n.stop)
	n.reads.close()
	if err := <-waits; err != errRetry {
		t.Errorf("a read that waited: %v", err)
	}
	if err := n.confirm(context.Background()); err != errRetry {
		t.Errorf("a read after the end: %v", err)
	}
	n.reads.close()
}
