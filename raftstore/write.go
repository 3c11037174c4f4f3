package raftstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/state"
	"github.com/distcache/distcache/wire"
)

// retryPause is how long a request that could not be carried out waits before it is asked again, unless a change of
// leadership is heard of first. It doubles each time, up to retryPauseMost: many may wait.
const (
	retryPause     = 20 * time.Millisecond
	retryPauseMost = 160 * time.Millisecond
)

// Add stores a session; see [store.Store]. It returns once a majority of nodes has the session on disk. After
// Disconnected the session may still come to be there.
func (s *Store) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	if err := wire.CheckAdd(id, data, timeout); err != nil {
		return err
	}
	op := entry.Op{Kind: entry.Add, Timeout: uint32(timeout / time.Millisecond), ID: id, Data: data}
	if s.keys == nil {
		return s.writer.write(ctx, op, nil)
	}
	sealData := func(op *entry.Op) error { return s.seal(op, data) }
	if err := sealData(&op); err != nil {
		return err
	}
	return s.writer.write(ctx, op, sealData)
}

// Remove deletes a session; see [store.Store]. It returns once a majority of nodes has that on disk.
func (s *Store) Remove(ctx context.Context, id []byte) error {
	if err := wire.CheckID(id); err != nil {
		return err
	}
	return s.writer.write(ctx, entry.Op{Kind: entry.Remove, ID: id}, nil)
}

// A writer has the leader carry out what this node's clients ask for.
type writer struct {
	*core
	sessions clientSessions
}

// write has the leader carry out an operation, asking under one identity until it gets an answer or ctx is done.
//
// The state machine refuses requests of a client session that it has forgotten. If no attempt before can have been
// carried out, the operation is asked for again under another session. Otherwise nobody can tell: Disconnected.
//
// sealAgain seals an operation's data anew, when they were sealed for too short a time.
func (s *writer) write(ctx context.Context, op entry.Op, sealAgain func(*entry.Op) error) error {
	var o *clientSession
	var counter uint64
	end := func() {
		if o != nil {
			o.end(counter)
			o = nil
		}
	}
	defer end()
	lost := false
	return s.retry(ctx, func(n *node) (err error) {
		if o == nil {
			if o, err = s.sessions.get(ctx, func(o *clientSession) error { return s.openSession(ctx, n, o) }); err != nil {
				return err
			}
			counter = o.begin()
		}
		op.Identity = o.identity(counter)
		err = s.ask(ctx, n, &op)
		switch {
		case errors.Is(err, errLost):
			lost = true
		case err == state.SealAgain && sealAgain != nil:
			end() // the answer is kept under that identity
			if err := sealAgain(&op); err != nil {
				return err
			}
			return errRetry
		case err == wire.Disconnected:
			s.sessions.expired(o)
			if !lost {
				end()
				return errRetry
			}
		}
		return err
	})
}

// ask has the leader carry out an operation, or begin to: see errRetry and errLost.
func (s *writer) ask(ctx context.Context, n *node, op *entry.Op) error {
	if n.leads() {
		return n.write(ctx, op)
	}
	leader, ok := n.raft.Leader()
	if !ok {
		return errRetry
	}
	return s.forward(ctx, leader, op)
}

// openSession has a client session opened, once.
func (s *writer) openSession(ctx context.Context, n *node, o *clientSession) error {
	err := s.ask(ctx, n, &entry.Op{Kind: entry.Session, Identity: entry.Identity{Origin: o.id}})
	if err == wire.NotOK {
		return errRetry // another has the number
	}
	return err
}

// forward has the leader carry out an operation.
func (s *writer) forward(ctx context.Context, leader peernet.Peer, op *entry.Op) error {
	payload := getBuffer()
	defer putBuffer(payload)
	*payload = appendIdentity((*payload)[:0], op.Identity)
	var kind wire.Op
	switch op.Kind {
	case entry.Add:
		kind = opAdd
		*payload = append(*payload, form(op.Sealed))
		*payload = wire.AppendAdd(*payload, op.ID, op.Data, time.Duration(op.Timeout)*time.Millisecond)
	case entry.Remove:
		kind = opRemove
		*payload = append(*payload, op.ID...)
	case entry.Session:
		kind = opSession
	}
	_, err := s.peers.do(ctx, leader, kind, *payload)
	return err
}

// write hands an operation to this node's batcher and waits for its status.
func (n *node) write(ctx context.Context, op *entry.Op) error {
	r := resultPool.Get().(*result)
	p := n.batcher.submit(op, r)
	select {
	case a := <-r.c:
		resultPool.Put(r)
		if a.err != nil {
			return a.err
		}
		return a.status.Err()
	case <-ctx.Done():
		if p != nil && n.batcher.withdraw(p) {
			resultPool.Put(r)
		}
		return ctx.Err() // otherwise r stays with the batcher
	}
}

// A result is a waiter that a goroutine waits for.
type result struct{ c chan answer }

type answer struct {
	status wire.Status
	err    error
}

func (r *result) finish(s wire.Status, err error) { r.c <- answer{s, err} }

var resultPool = sync.Pool{New: func() any { return &result{c: make(chan answer, 1)} }}

var bufferPool = sync.Pool{New: func() any { return new([]byte) }}

func getBuffer() *[]byte  { return bufferPool.Get().(*[]byte) }
func putBuffer(b *[]byte) { bufferPool.Put(b) }
