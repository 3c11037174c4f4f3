package peernet

import (
	"sync"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// gate keeps the answer to entries back until this node has them on disk itself.
func (t *Transport) gate(req *raft.AppendEntriesRequest) error {
	if t.hooks.Durable == nil || len(req.Entries) == 0 {
		return nil
	}
	return t.hooks.Durable(req.Entries[len(req.Entries)-1].Index)
}

// AppendEntries sends entries, or a heartbeat, to another node and waits for its answer.
func (t *Transport) AppendEntries(id raft.ServerID, address raft.ServerAddress, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if isHeartbeat(req) {
		err := t.send(id, address, req, resp)
		t.reach.heard(serverid.ID(id), req.Term, err)
		return err
	}
	if over := t.reach.silence(serverid.ID(id), req.Term); over != nil && t.hooks.Sends != nil {
		req.Entries = nil // Raft reads them anew when it sends again: nobody knows how long this takes
		outlast(over, func() bool { return t.hooks.Sends(serverid.ID(id), string(address), req.Term) })
		return errSilent
	}
	if err := t.send(id, address, req, resp); err != nil {
		return err
	}
	t.answered(id, req, resp)
	return t.gate(req)
}

// send sends a request and waits for the answer. A node says where its log ended before it took the request: in a term of
// this leader's, never before what it has acknowledged.
func (t *Transport) send(id raft.ServerID, address raft.ServerAddress, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	has := t.acked.of(serverid.ID(id), req.Term)
	err := t.NetworkTransport.AppendEntries(id, target(id, address), req, resp)
	if err == nil && resp.Term == req.Term && resp.LastLog < has && t.hooks.Forgot != nil {
		t.hooks.Forgot(serverid.ID(id), has, resp.LastLog)
	}
	return err
}

// answered takes note of what a node has acknowledged.
func (t *Transport) answered(id raft.ServerID, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) {
	if resp.Success {
		t.acked.note(serverid.ID(id), req.Term, acknowledged(req))
	}
}

// AppendEntriesPipeline is for sending entries without waiting for each answer.
func (t *Transport) AppendEntriesPipeline(id raft.ServerID, address raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := t.NetworkTransport.AppendEntriesPipeline(id, target(id, address))
	if err != nil {
		return nil, err
	}
	return guard(p, func(f raft.AppendFuture) error {
		t.answered(id, f.Request(), f.Response())
		return t.gate(f.Request())
	}), nil
}

// A pipeline is one whose answers pass a gate.
type pipeline struct {
	raft.AppendPipeline
	gate    func(raft.AppendFuture) error
	answers chan raft.AppendFuture
	once    sync.Once
	closed  chan struct{}
}

func guard(p raft.AppendPipeline, gate func(raft.AppendFuture) error) *pipeline {
	g := &pipeline{AppendPipeline: p, gate: gate, answers: make(chan raft.AppendFuture), closed: make(chan struct{})}
	go g.pass()
	return g
}

// pass hands answers on, in order. When one may not be counted it closes the pipeline: Raft may be waiting to send more,
// which without answers it could not.
func (p *pipeline) pass() {
	for {
		select {
		case f := <-p.AppendPipeline.Consumer():
			if f.Error() == nil && p.gate(f) != nil {
				_ = p.Close()
				return
			}
			select {
			case p.answers <- f:
			case <-p.closed:
				return
			}
		case <-p.closed:
			return
		}
	}
}

// Consumer gives the answers that may be counted.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

// Close ends the pipeline. It may be called twice.
func (p *pipeline) Close() (err error) {
	p.once.Do(func() {
		close(p.closed)
		err = p.AppendPipeline.Close()
	})
	return err
}

// acknowledged is the index up to which a node that took a request has the sender's log.
func acknowledged(req *raft.AppendEntriesRequest) uint64 {
	if n := len(req.Entries); n > 0 {
		return req.Entries[n-1].Index
	}
	return req.PrevLogEntry
}

// isHeartbeat tells Raft's heartbeats from what it sends to have entries in a log: that follows an entry, or has the first.
func isHeartbeat(req *raft.AppendEntriesRequest) bool {
	return len(req.Entries) == 0 && req.PrevLogEntry == 0
}
