package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// leading starts three voters, with a nonvoter that is not there, and gives the leader, which serves.
func leading(t *testing.T) *node {
	t.Helper()
	var members []raftnode.Member
	var nodes []*node
	for i := range 3 {
		mux, err := peernet.Listen("127.0.0.1:0", peernet.Options{Network: peernet.TCP{}, Logger: slog.New(slog.DiscardHandler),
			Serve: func(nc net.Conn, _, _ serverid.ID) { nc.Close() }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { mux.Close() })
		id := identity{Name: fmt.Sprintf("n%d", i+1), Incarnation: "00000001", Phase: phaseNew}
		members = append(members, raftnode.Member{ID: id.ID(), Address: mux.Addr().String()})
		n, err := openNode(Config{Dir: t.TempDir(), Name: id.Name, Heartbeat: time.Second}.withDefaults(), id,
			mux.Layer(peernet.Peer{ID: id.ID(), Address: mux.Addr().String()}), questions{clock: punctual}, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.close() })
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if err := n.raft.Bootstrap(members); err != nil {
			t.Fatal(err)
		}
	}
	nodes[0].raft.Stand(t.Context())
	for deadline := time.Now().Add(time.Minute); !nodes[0].leads(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no leader")
		}
	}
	if err := nodes[0].raft.AddNonvoter("n4/00000001", "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	return nodes[0]
}

// punctual is a node whose clock is right.
func punctual(context.Context, peernet.Peer) (clockAnswer, error) {
	now := time.Now()
	return clockAnswer{wall: moment{wall(now), now}, log: moment{0, now}}, nil
}

// voters answer as they are told.
type voters struct {
	t     *testing.T
	mu    sync.Mutex
	say   map[string]func(ctx context.Context) (uint64, error)
	asked atomic.Int32
}

func (v *voters) term(ctx context.Context, s raftnode.Member) (uint64, error) {
	v.asked.Add(1)
	if !s.Voter {
		v.t.Errorf("%s was asked, which does not vote", s.ID)
	}
	v.mu.Lock()
	f := v.say[s.ID.Name()]
	v.mu.Unlock()
	return f(ctx)
}

// start asks without waiting, as nodes do.
func (v *voters) start(ctx context.Context, s raftnode.Member, answered func(uint64, error)) (forget func()) {
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
	n.reads = newReadBatch(func(ctx context.Context) (readIndex, error) { return readIndex{}, n.stillLeads(ctx, v.start) })
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
	n.halt()
	n.reads.close()
	if err := <-waits; err != errRetry {
		t.Errorf("a read that waited: %v", err)
	}
	if err := n.confirm(context.Background()); err != errRetry {
		t.Errorf("a read after the end: %v", err)
	}
	n.reads.close()
}
