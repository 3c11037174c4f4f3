package raftstore

import (
	"cmp"
	"context"
	"time"

	"github.com/distcache/distcache/raftstore/internal/mutant"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/raftstore/internal/state"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

var _ interface {
	store.Store
	store.NonBlocking
	store.Counter
} = (*Store)(nil)

// Get returns a session's data; see [store.Store]. What it sees is Config.Reads' choice.
func (s *Store) Get(ctx context.Context, id []byte) (data []byte, err error) {
	var d state.Data
	err = s.reader.read(ctx, opGet, id, func(n *node, now uint64) (err error) {
		d, err = n.getLocal(id, now)
		return err
	}, func(body []byte) {
		if len(body) > 0 {
			d = state.Data{Bytes: body[1:], Sealed: body[0] == peerSealed}
		}
	})
	if err != nil {
		return nil, err
	}
	return s.unseal(id, d)
}

// Have says whether there is a session; see [store.Store]. What it sees is Config.Reads' choice.
func (s *Store) Have(ctx context.Context, id []byte) error {
	return s.reader.read(ctx, opHave, id, func(n *node, now uint64) error { return n.haveLocal(id, now) }, func([]byte) {})
}

// A reader answers reads of this node's clients.
type reader struct{ *core }

// read answers from this node's own state when that may be done, and otherwise has the leader answer. What has expired
// by the leader's log clock is not there, whether or not an entry that late could be committed.
func (s *reader) read(ctx context.Context, op wire.Op, id []byte, local func(n *node, now uint64) error, answered func([]byte)) error {
	if err := wire.CheckID(id); err != nil {
		return err
	}
	if s.cfg.Reads == ReadLocal {
		n := s.node.Load()
		return local(n, n.clock.read())
	}
	return s.retry(ctx, func(n *node) error {
		if n.leads() {
			if err := n.mayRead(ctx); err != nil {
				return err
			}
			return local(n, n.clock.read())
		}
		if !n.lags() {
			at, err := n.indexes.wait(ctx)
			if err != nil {
				return err
			}
			if applied, _ := n.state.Applied(); applied >= at.index {
				return local(n, at.time)
			}
		}
		// What was committed last comes with the leader's next word, in some milliseconds: asking is quicker.
		leader, ok := n.raft.Leader()
		if !ok {
			return errRetry
		}
		body, err := s.readThere(ctx, n, leader, op, id)
		answered(body)
		return err
	})
}

// readThere has the leader answer a read.
func (s *reader) readThere(ctx context.Context, n *node, leader peernet.Peer, op wire.Op, id []byte) ([]byte, error) {
	payload := getBuffer()
	defer putBuffer(payload)
	*payload = append(n.termProof().append((*payload)[:0]), id...)
	return s.peers.do(ctx, leader, op, *payload)
}

// NonBlocking implements [store.NonBlocking]: reads do not wait on a node that is its cluster's only voter, or that
// answers from its own state.
func (s *Store) NonBlocking(op store.Op) bool {
	if op != store.Get && op != store.Have {
		return false
	}
	if s.cfg.Reads == ReadLocal {
		return true
	}
	n := s.node.Load()
	return n.leads() && !s.frozen.Load() && (s.cfg.Reads == ReadLeader || n.raft.SoleVoter())
}

// mayRead returns nil when this node may answer a read of its own clients that arrived before the call, errRetry when
// it does not lead.
func (n *node) mayRead(ctx context.Context) error {
	if n.cfg.Reads == ReadLeader {
		if !n.leads() {
			return errRetry
		}
		return nil
	}
	return n.confirm(ctx)
}

// lags tells whether this node has log entries that it has not applied, as it has while others write.
func (n *node) lags() bool {
	applied, _ := n.state.Applied()
	return applied < n.raft.LastIndex()
}

func (n *node) getLocal(id []byte, now uint64) (state.Data, error) {
	data, found, err := n.state.Get(id, now)
	if err == nil && !found {
		err = wire.NotOK
	}
	return data, err
}

func (n *node) haveLocal(id []byte, now uint64) error {
	found, err := n.state.Have(id, now)
	if err == nil && !found {
		return wire.NotOK
	}
	return err
}

// termOf asks another node for its current term. It does not wait: answered is called, once, from another goroutine or
// this one, and must not block. Who does not need the answer any more calls forget.
type termOf func(ctx context.Context, server raftnode.Member, answered func(uint64, error)) (forget func())

// Questions are what a node asks others, or of its Store about others. A test may leave any out.
type questions struct {
	term  func(ctx context.Context, to peernet.Peer, answered func(uint64, error)) (forget func())
	index func(ctx context.Context, leader peernet.Peer, question []byte) (readIndex, error)
	clock func(ctx context.Context, to peernet.Peer) (clockAnswer, error)

	epochEnds func(before, now uint64) bool // see node

	// See raftnode.Options.
	connect func(context.Context, peernet.Peer) (<-chan struct{}, error)
	drop    func(peernet.Peer)
	forgot  func(id serverid.ID, acked, last uint64)
}

// askTerm asks a member for its term, over a connection that only that member answers.
func (n *node) askTerm(ask func(context.Context, peernet.Peer, func(uint64, error)) func()) termOf {
	return func(ctx context.Context, s raftnode.Member, answered func(uint64, error)) func() {
		return ask(ctx, n.raft.Peer(s), answered)
	}
}

// askIndex asks the leader for its read index.
func (n *node) askIndex(ctx context.Context, ask func(context.Context, peernet.Peer, []byte) (readIndex, error)) (readIndex, error) {
	leader, ok := n.raft.Leader()
	if !ok {
		return readIndex{}, errRetry
	}
	bounded, cancel := context.WithTimeout(ctx, 2*n.cfg.timing.round)
	defer cancel()
	index, err := ask(bounded, leader, n.termProof().append(nil))
	if err != nil {
		return readIndex{}, cmp.Or(ctx.Err(), errRetry)
	}
	return index, nil
}

// roundPatience is how long one round of questions may take.
const roundPatience = time.Second

// confirm returns nil when this node may answer a read that arrived before the call, errRetry when it does not lead.
func (n *node) confirm(ctx context.Context) error {
	// In this order: the term of a leader that has become the only voter since may have been over before that.
	alone := n.raft.SoleVoter()
	if !n.leads() {
		return errRetry
	}
	if alone || mutant.NoReadRound {
		return nil
	}
	_, err := n.reads.wait(ctx)
	return err
}

// stillLeads makes sure that this node is still the leader.
//
// A read may be answered from this node's state when, after the read arrived, a majority of voters (this node among
// them) said that their current term is the one in which this node leads: a voter persists its term before it grants a
// vote, so nobody can have been elected in a later term before that majority answered, and every write acknowledged
// before the read arrived was applied here first. raft.VerifyLeader promises less in 1.7.3: it counts answers of
// nonvoters, and answers to questions asked before the call.
func (n *node) stillLeads(ctx context.Context, ask termOf) error {
	term := n.serving.Load()
	if !n.leads() {
		return errRetry
	}
	bounded, cancel := context.WithTimeout(ctx, n.cfg.timing.round)
	defer cancel()
	servers := n.raft.Members()
	answers := make(chan bool, len(servers))
	voters, agree := 0, 0
	for _, s := range servers {
		if !s.Voter {
			continue
		}
		voters++
		if s.ID == n.id {
			agree++
			continue
		}
		defer ask(bounded, s, func(t uint64, err error) { answers <- err == nil && t == term })()
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
		case <-n.stop:
			return errRetry
		case <-bounded.Done():
			return cmp.Or(ctx.Err(), errRetry)
		}
	}
	if !n.leads() || n.serving.Load() != term {
		return errRetry
	}
	return nil
}

// A readIndex is what a read has to see: what was applied up to a log entry, but for what has expired by a time, of the
// leader's log clock.
type readIndex struct{ index, time uint64 }

// readIndex is what a node must have reached to answer a read that arrived before the call. The leader gives it to a
// follower. Whatever the leader's own reads wait for, the follower's may be linearizable.
func (n *node) readIndex(ctx context.Context) (readIndex, error) {
	if err := n.confirm(ctx); err != nil {
		return readIndex{}, err
	}
	return n.readNow(), nil
}

// readNow is the read index of a leader that has made sure that it leads.
func (n *node) readNow() readIndex {
	index, _ := n.state.Applied()
	return readIndex{index, n.clock.read()}
}
