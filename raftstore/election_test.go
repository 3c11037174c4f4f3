package raftstore

import (
	"testing"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
)

// candidate asks a follower for its vote in the next term, as a node whose log ends at an index.
func (f *follower) candidate(name string, last uint64) (before, vote bool) {
	f.t.Helper()
	t := f.sender(name)
	header := f.header()
	header.ID = []byte(server(name))
	var pre raft.RequestPreVoteResponse
	err := t.RequestPreVote(server("n3"), f.address(), &raft.RequestPreVoteRequest{
		RPCHeader: header, Term: historyTerm + 1, LastLogIndex: last, LastLogTerm: historyTerm}, &pre)
	if err != nil {
		f.t.Fatal(err)
	}
	var resp raft.RequestVoteResponse
	err = t.RequestVote(server("n3"), f.address(), &raft.RequestVoteRequest{
		RPCHeader: header, Term: historyTerm + 1, LastLogIndex: last, LastLogTerm: historyTerm}, &resp)
	if err != nil {
		f.t.Fatal(err)
	}
	return pre.Granted, resp.Granted
}

// A voter that has not heard yet that a node was made a voter, or taken in at all, votes for it: the two may be all
// that are left of three, and the other has the longer log. One that has not heard of its own vote gives it too.
func TestVoteForOneNotKnownToVote(t *testing.T) {
	both := configuration("n1", "n3")
	lagging := raft.Configuration{Servers: []raft.Server{{ID: server("n1"), Address: "n1"}, {ID: server("n2"), Address: "n2"},
		{ID: server("n3"), Address: "n3", Suffrage: raft.Nonvoter}}}
	nonvoter := raft.Configuration{Servers: append(both.Servers, raft.Server{ID: server("n2"), Address: "n2", Suffrage: raft.Nonvoter})}
	for name, c := range map[string]struct {
		known     raft.Configuration // to the one that is asked, n3
		candidate string
		last      uint64
		want      bool
	}{
		"a voter":                   {both, "n1", 3, true},
		"a nonvoter":                {nonvoter, "n2", 4, true},
		"one that is not known":     {both, "n2", 5, true},
		"asked one does not vote":   {lagging, "n2", 4, true},
		"a shorter log":             {both, "n1", 2, false},
		"a nonvoter, shorter log":   {nonvoter, "n2", 2, false},
		"not known, with as little": {both, "n2", 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &history{stamp: 1000}
			h.append(raft.LogConfiguration, raft.EncodeConfiguration(c.known))
			h.command(adding(1, 1, "one"))
			h.command(adding(1, 2, "two"))
			f := newFollower(t, h, LogBolt)
			f.append(1, h.last())
			f.restart() // it knows of no leader then
			before, vote := f.candidate(c.candidate, c.last)
			if before != c.want || vote != c.want {
				t.Errorf("the vote is promised: %v, given: %v, want %v", before, vote, c.want)
			}
		})
	}
}

// A node that was removed and does not know it is given no vote while there is a leader, whatever its log, and ends no
// term by asking.
func TestNoVoteWhileThereIsALeader(t *testing.T) {
	h := &history{stamp: 1000}
	h.members("n1", "n3")
	h.command(adding(1, 1, "one"))
	f := newFollower(t, h, LogBolt)
	f.append(1, h.last())
	f.leader = f.sender("n2")
	header := f.header()
	header.ID = []byte(server("n2"))
	var resp raft.RequestVoteResponse
	err := f.leader.RequestVote(server("n3"), f.address(), &raft.RequestVoteRequest{RPCHeader: header,
		Term: historyTerm + 1, LastLogIndex: h.last() + 1, LastLogTerm: historyTerm, LeadershipTransfer: true}, &resp)
	if err != nil || resp.Granted {
		t.Errorf("for one that is to take over: %v, %v", resp.Granted, err)
	}
	if before, vote := f.candidate("n2", h.last()+1); before || vote {
		t.Errorf("the vote is promised: %v, given: %v", before, vote)
	}
	if term := f.raft.Term(); term != historyTerm {
		t.Errorf("the term is %d, want %d", term, historyTerm)
	}
}

// A vote is for a server, not for the address at which it was: another one that is there asks in vain for a vote of the
// same term, whatever its log. The same server is given it again.
func TestVotesAreKeptByID(t *testing.T) {
	for _, kind := range []LogKind{LogBolt, LogWAL} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			h := &history{stamp: 1000}
			h.members("n1", "n2", "n3")
			h.command(adding(1, 1, "one"))
			f := newFollower(t, h, kind)
			f.append(1, h.last())
			f.restart() // it knows of no leader then
			if _, vote := f.candidate("n1", h.last()); !vote {
				t.Fatal("n1 gets no vote")
			}
			f.leader = f.sender("n2")
			if _, vote := f.candidate("n2", h.last()+5); vote {
				t.Error("n2 gets a vote in the term in which n1 has it")
			}
			f.restart()
			if _, vote := f.candidate("n2", h.last()+5); vote {
				t.Error("n2 gets it when the voter was started again")
			}
			if got, err := f.logs.Get([]byte("LastVoteCand")); err != nil || string(got) != string(server("n1")) {
				t.Errorf("the vote is kept as %q, %v", got, err)
			}
			f.leader = f.sender("n1")
			if _, vote := f.candidate("n1", h.last()); !vote {
				t.Error("n1 does not get it again")
			}
		})
	}
}

// Only the leader has this node take over.
func TestWhoHandsOver(t *testing.T) {
	h := &history{stamp: 1000}
	h.members("n1", "n2", "n3")
	f := newFollower(t, h, LogBolt)
	f.append(1, h.last())
	other := f.sender("n2")
	header := f.header()
	header.ID = []byte(server("n2"))
	err := other.TimeoutNow(server("n3"), f.address(), &raft.TimeoutNowRequest{RPCHeader: header}, new(raft.TimeoutNowResponse))
	if err == nil || f.raft.Role() != raftnode.Follower {
		t.Errorf("asked by another follower: %v, it is a %v", err, f.raft.Role())
	}
	err = f.leader.TimeoutNow(server("n3"), f.address(), &raft.TimeoutNowRequest{RPCHeader: f.header()}, new(raft.TimeoutNowResponse))
	if err != nil || f.raft.Role() == raftnode.Follower {
		t.Errorf("asked by the leader: %v, it is a %v", err, f.raft.Role())
	}
	f.leader.Close() // which does not answer when it is asked for a vote
	other.Close()
}
