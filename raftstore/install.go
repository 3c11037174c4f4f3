package raftstore

import (
	"errors"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/peernet"
)

// install has Raft install a snapshot that another node sends. The answer is an error when Raft does not know where
// the log ends: the leader sends the snapshot again.
func (n *node) install(t *peernet.Transport, rpc raft.RPC, req *raft.InstallSnapshotRequest) {
	a := t.Ask(raft.RPC{Command: req, Reader: rpc.Reader})
	if resp, ok := a.Response.(*raft.InstallSnapshotResponse); ok && a.Error == nil && resp.Success && n.logs.Stale() {
		a.Error = n.tellEnd(t, req)
	}
	rpc.Respond(a.Response, a.Error)
}

// tellEnd has Raft take the snapshot's last entry for the last of the log, by a request of the snapshot's leader to
// append it. Nothing else makes Raft forget an entry of its log.
func (n *node) tellEnd(t *peernet.Transport, req *raft.InstallSnapshotRequest) error {
	end := &raft.Log{Index: req.LastLogIndex, Term: req.LastLogTerm, Type: raft.LogNoop}
	n.logs.PretendEnd(end)
	defer n.logs.PretendEnd(nil)
	a := t.Ask(raft.RPC{Command: &raft.AppendEntriesRequest{
		RPCHeader: req.RPCHeader, Term: req.Term, Entries: []*raft.Log{end}}})
	if a.Error == nil && n.logs.Stale() {
		return errors.New("the leader of the snapshot was overtaken while it was installed")
	}
	return a.Error
}
