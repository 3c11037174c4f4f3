package raftstore

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/wire"
)

// termOf asks another node for its current term.
type termOf func(ctx context.Context, server raft.Server) (uint64, error)

// roundPatience is how long one round of questions may take.
const roundPatience = time.Second

// Rounds make sure, for the reads that wait, that this node is still the leader.
//
// A read may be answered from this node's state when, after the read arrived, a majority of voters (this node among
// them) said that their current term is the one in which this node leads: a voter persists its term before it grants a
// vote, so nobody can have been elected in a later term before that majority answered, and every write acknowledged
// before the read arrived was applied here first. raft.VerifyLeader promises less in 1.7.3: it counts answers of
// nonvoters, and answers to questions asked before the call.
//
// One round is under way at a time. Reads that arrive meanwhile wait for the next.
type rounds struct {
	n    *node
	term termOf

	mu      sync.Mutex
	waiting []chan<- error
	closed  bool

	kick chan struct{}
	done chan struct{}
}

func newRounds(n *node, term termOf) *rounds {
	r := &rounds{n: n, term: term, kick: make(chan struct{}, 1), done: make(chan struct{})}
	go r.run()
	return r
}

func (r *rounds) close() {
	r.mu.Lock()
	already := r.closed
	r.closed = true
	waiting := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	for _, w := range waiting {
		w <- errRetry
	}
	if !already {
		close(r.kick)
	}
	<-r.done
}

// confirm returns nil when this node may answer a read that arrived before the call, errRetry when it does not lead.
func (r *rounds) confirm(ctx context.Context) error {
	if !r.n.leads() {
		return errRetry
	}
	if r.alone() {
		return nil
	}
	answer := make(chan error, 1)
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return errRetry
	}
	r.waiting = append(r.waiting, answer)
	select {
	case r.kick <- struct{}{}:
	default:
	}
	r.mu.Unlock()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// alone tells whether this node is the only voter: then nobody else can have been elected.
func (r *rounds) alone() bool {
	servers := r.n.servers()
	for _, s := range servers {
		if s.Suffrage == raft.Voter && s.ID != raft.ServerID(r.n.cfg.Name) {
			return false
		}
	}
	return len(servers) > 0
}

func (r *rounds) run() {
	defer close(r.done)
	for range r.kick {
		r.mu.Lock()
		waiting := r.waiting
		r.waiting = nil
		r.mu.Unlock()
		if len(waiting) == 0 {
			continue
		}
		err := r.round()
		for _, w := range waiting {
			w <- err
		}
	}
}

// round asks all other voters and waits for a majority.
func (r *rounds) round() error {
	term := r.n.serving.Load()
	if !r.n.leads() {
		return errRetry
	}
	ctx, cancel := context.WithTimeout(context.Background(), roundPatience)
	defer cancel()
	voters, agree := 0, 0
	answers := make(chan bool, 16)
	for _, s := range r.n.servers() {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s.ID == raft.ServerID(r.n.cfg.Name) {
			agree++
			continue
		}
		go func() {
			t, err := r.term(ctx, s)
			select {
			case answers <- err == nil && t == term:
			case <-ctx.Done():
			}
		}()
	}
	for asked := voters - agree; agree <= voters/2; asked-- {
		if asked == 0 {
			return errRetry
		}
		select {
		case ok := <-answers:
			if ok {
				agree++
			}
		case <-r.n.stop:
			return errRetry
		case <-ctx.Done():
			return errRetry
		}
	}
	if !r.n.leads() || r.n.serving.Load() != term {
		return errRetry
	}
	return nil
}

// get reads a session on the leader.
func (n *node) get(ctx context.Context, id []byte) ([]byte, error) {
	if err := n.mayRead(ctx); err != nil {
		return nil, err
	}
	return n.getLocal(id)
}

// have looks for a session on the leader.
func (n *node) have(ctx context.Context, id []byte) error {
	if err := n.mayRead(ctx); err != nil {
		return err
	}
	return n.haveLocal(id)
}

func (n *node) mayRead(ctx context.Context) error {
	if n.cfg.Reads == ReadLeader {
		if !n.leads() {
			return errRetry
		}
		return nil
	}
	return n.reads.confirm(ctx)
}

func (n *node) getLocal(id []byte) ([]byte, error) {
	data, found, err := n.state.Get(id)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, wire.NotOK
	}
	return data, nil
}

func (n *node) haveLocal(id []byte) error {
	if !n.state.Have(id) {
		return wire.NotOK
	}
	return nil
}
