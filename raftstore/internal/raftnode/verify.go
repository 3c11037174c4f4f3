package raftnode

import (
	"errors"
	"fmt"
	"math"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// What Raft is given to store
//
// Raft trusts a leader: it stores any entry, replaces entries that it has committed, and panics at a configuration that
// it can't decode, again at each start. So a member that has gone mad, or a forger, could end all nodes for good. What
// can be checked without knowing who was elected is checked here, before Raft gets the request. Package peernet bounds
// the sizes.

// errUnfit is what a leader is told whose request must not be stored.
var errUnfit = errors.New("the request is not what a leader of this program sends")

const (
	maxMembers = 64
	// maxTermsAhead bounds how far a request's term may be ahead of this node's. Terms count elections. Without a bound
	// a single request could bring the term to its greatest value, after which there is no election.
	maxTermsAhead = math.MaxUint32
)

// fits refuses a request to append entries or to install a snapshot that Raft would take and should not.
func (n *Node) fits(command any) error {
	switch req := command.(type) {
	case *raft.AppendEntriesRequest:
		return n.fitsAppend(req)
	case *raft.InstallSnapshotRequest:
		return n.fitsSnapshot(req)
	case *raft.RequestVoteRequest:
		return n.fitsTerm(req.Term)
	}
	return nil
}

func (n *Node) fitsTerm(term uint64) error {
	if own := n.raft.CurrentTerm(); term > own && term-own > maxTermsAhead {
		return fmt.Errorf("%w: term %d, when this node's is %d", errUnfit, term, own)
	}
	return nil
}

func (n *Node) fitsAppend(req *raft.AppendEntriesRequest) error {
	if err := n.fitsTerm(req.Term); err != nil {
		return err
	}
	index, term, committed := req.PrevLogEntry, req.PrevLogTerm, n.raft.CommitIndex()
	for _, e := range req.Entries {
		switch {
		case e == nil:
			return fmt.Errorf("%w: an entry is missing", errUnfit)
		case e.Index != index+1:
			return fmt.Errorf("%w: entry %d follows entry %d", errUnfit, e.Index, index)
		case e.Term < term || e.Term > req.Term:
			return fmt.Errorf("%w: entry %d of term %d follows one of term %d, in term %d",
				errUnfit, e.Index, e.Term, term, req.Term)
		case e.Index <= committed && n.differs(e):
			return fmt.Errorf("%w: entry %d is committed with another term", errUnfit, e.Index)
		}
		if err := readable(e); err != nil {
			return fmt.Errorf("%w: entry %d: %w", errUnfit, e.Index, err)
		}
		index, term = e.Index, e.Term
	}
	return nil
}

// differs tells whether this node's log has an entry of another term in the place of e.
func (n *Node) differs(e *raft.Log) bool {
	var own raft.Log
	return n.logs.GetLog(e.Index, &own) == nil && own.Term != e.Term
}

// readable tells whether a log entry can be read by whoever will have to.
func readable(e *raft.Log) error {
	if len(e.Extensions) > 0 {
		return errors.New("it has extensions")
	}
	switch e.Type {
	case raft.LogCommand:
		return entry.Check(e.Data)
	case raft.LogConfiguration:
		return fitsConfiguration(e.Data)
	case raft.LogNoop, raft.LogBarrier:
		return nil
	}
	return fmt.Errorf("its type is %d", e.Type)
}

func (n *Node) fitsSnapshot(req *raft.InstallSnapshotRequest) error {
	if err := n.fitsTerm(req.Term); err != nil {
		return err
	}
	switch committed := n.raft.CommitIndex(); {
	case req.SnapshotVersion != raft.SnapshotVersionMax:
		return fmt.Errorf("%w: a snapshot of version %d", errUnfit, req.SnapshotVersion)
	case req.LastLogIndex < committed:
		return fmt.Errorf("%w: a snapshot of entry %d, when entry %d is committed", errUnfit, req.LastLogIndex, committed)
	case req.LastLogTerm > req.Term:
		return fmt.Errorf("%w: a snapshot of term %d, in term %d", errUnfit, req.LastLogTerm, req.Term)
	}
	if err := fitsConfiguration(req.Configuration); err != nil {
		return fmt.Errorf("%w: a snapshot: %w", errUnfit, err)
	}
	return nil
}

// fitsConfiguration tells whether bytes are a configuration that Raft can decode and this program could have written.
func fitsConfiguration(b []byte) (err error) {
	defer func() {
		if p := recover(); p != nil { // raft.DecodeConfiguration has no other way to say so
			err = fmt.Errorf("a configuration that can't be decoded: %v", p)
		}
	}()
	servers := raft.DecodeConfiguration(b).Servers
	if len(servers) > maxMembers {
		return fmt.Errorf("a configuration of %d servers", len(servers))
	}
	voters := 0
	ids, addresses := map[raft.ServerID]bool{}, map[raft.ServerAddress]bool{}
	for _, s := range servers {
		switch {
		case !serverid.ID(s.ID).Valid():
			return fmt.Errorf("a configuration with the ID %.100q", s.ID)
		case s.Address == "" || len(s.Address) > 300:
			return fmt.Errorf("a configuration with the address %.100q", s.Address)
		case ids[s.ID] || addresses[s.Address]:
			return fmt.Errorf("a configuration that has %s, or its address %s, twice", s.ID, s.Address)
		case s.Suffrage == raft.Voter:
			voters++
		}
		ids[s.ID], addresses[s.Address] = true, true
	}
	if voters == 0 {
		return errors.New("a configuration without voters")
	}
	return nil
}
