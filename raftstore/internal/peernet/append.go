package peernet

import (
	"sync"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// waitDurable waits until this node has a request's entries on its own disk. Until then Raft does not get the answer.
func (t *Transport) waitDurable(req *raft.AppendEntriesRequest) error {
	if t.hooks.Durable == nil || len(req.Entries) == 0 {
		return nil
	}
	return t.hooks.Durable(req.Entries[len(req.Entries)-1].Index)
}

// AppendEntries sends entries, or a heartbeat, to another node and waits for its answer.
func (t *Transport) AppendEntries(id raft.ServerID, address raft.ServerAddress,
	req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if isHeartbeat(req) {
		err := t.send(id, address, req, resp)
		t.health.heartbeat(serverid.ID(id), req.Term, err)
		return err
	}
	cut(req)
	if over := t.health.outage(serverid.ID(id), req.Term); over != nil && t.hooks.Sends != nil {
		req.Entries = nil // frees them, since an outage may be long; Raft reads them again when it retries
		waitWhileDown(over, func() bool { return t.hooks.Sends(serverid.ID(id), string(address), req.Term) })
		return errDown
	}
	if err := t.send(id, address, req, resp); err != nil {
		return err
	}
	t.answered(id, req, resp)
	return t.waitDurable(req)
}

// send sends a request and waits for the answer. The answer says where the node's log ended before the request. In this
// leader's term, that must not be before an entry that the node has acknowledged.
func (t *Transport) send(id raft.ServerID, address raft.ServerAddress,
	req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	has := t.acked.of(serverid.ID(id), req.Term)
	err := t.NetworkTransport.AppendEntries(id, target(id, address), req, resp)
	if err == nil && resp.Term == req.Term && resp.LastLog < has && t.hooks.Forgot != nil {
		t.hooks.Forgot(serverid.ID(id), has, resp.LastLog)
	}
	return err
}

// answered notes which entries a node has acknowledged.
func (t *Transport) answered(id raft.ServerID, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) {
	if resp.Success {
		t.acked.note(serverid.ID(id), req.Term, acknowledged(req))
	}
}

// AppendEntriesPipeline opens a pipeline, which sends entries without waiting for each answer.
func (t *Transport) AppendEntriesPipeline(id raft.ServerID, address raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := t.NetworkTransport.AppendEntriesPipeline(id, target(id, address))
	if err != nil {
		return nil, err
	}
	return newPipeline(p, func(f raft.AppendFuture) error {
		t.answered(id, f.Request(), f.Response())
		return t.waitDurable(f.Request())
	}), nil
}

// A pipeline passes each answer to Raft after a function has returned for it.
type pipeline struct {
	raft.AppendPipeline
	wait    func(raft.AppendFuture) error
	answers chan raft.AppendFuture
	once    sync.Once
	closed  chan struct{}
}

func newPipeline(inner raft.AppendPipeline, wait func(raft.AppendFuture) error) *pipeline {
	p := &pipeline{AppendPipeline: inner, wait: wait,
		answers: make(chan raft.AppendFuture), closed: make(chan struct{})}
	go p.pass()
	return p
}

// pass passes answers on in order. When wait fails, Raft must not count the answer, and pass closes the pipeline:
// Raft may be waiting for room to send more, which it would never get without answers.
func (p *pipeline) pass() {
	for {
		select {
		case f := <-p.AppendPipeline.Consumer():
			if f.Error() == nil && p.wait(f) != nil {
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

// AppendEntries sends a request. Raft sends the entries that are left out with the next one.
func (p *pipeline) AppendEntries(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	cut(req)
	return p.AppendPipeline.AppendEntries(req, resp)
}

// Consumer gives the answers that Raft may count.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

// Close ends the pipeline. It may be called twice.
func (p *pipeline) Close() (err error) {
	p.once.Do(func() {
		close(p.closed)
		err = p.AppendPipeline.Close()
	})
	return err
}

// cut leaves out of a request the entries beyond sendBytes, but not the first one, so that receivers can bound what they
// take. Raft looks at the request for what was sent, and sends the rest with the next one.
func cut(req *raft.AppendEntriesRequest) {
	size := 0
	for i, e := range req.Entries {
		if size += len(e.Data); size > sendBytes && i > 0 {
			req.Entries = req.Entries[:i]
			return
		}
	}
}

// acknowledged is the index up to which a node that accepted a request has the sender's log.
func acknowledged(req *raft.AppendEntriesRequest) uint64 {
	if n := len(req.Entries); n > 0 {
		return req.Entries[n-1].Index
	}
	return req.PrevLogEntry
}

// isHeartbeat tells Raft's heartbeats from its requests to append: these name the entry before, or have the first
// entry.
func isHeartbeat(req *raft.AppendEntriesRequest) bool {
	return len(req.Entries) == 0 && req.PrevLogEntry == 0
}
