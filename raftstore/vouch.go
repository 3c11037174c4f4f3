package raftstore

import (
	"encoding/binary"
	"slices"

	"github.com/hashicorp/raft"
)

// A vouch is what a follower says of itself when it asks for a read index, or has the leader read: the term it is in, and
// its server ID.
//
// A follower took note of the term after the reads arrived that wait for the answer. So its word is as good as what it would answer
// to a question of the leader's (see stillLeads), and where it makes a majority together with the leader, as in a cluster
// of three, the leader need not ask anybody.
type vouch struct {
	term uint64
	id   raft.ServerID
}

// vouch is this node's own, as of now.
func (n *node) vouch() vouch { return vouch{n.raft.CurrentTerm(), n.id} }

// append gives a vouch as it is sent: u64 term; the ID, behind its length in one byte.
func (v vouch) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, v.term)
	return append(append(dst, byte(len(v.id))), v.id...)
}

// parseVouch reads a vouch, and gives what follows it.
func parseVouch(b []byte) (v vouch, rest []byte, ok bool) {
	const head = 8 + 1
	if len(b) < head || len(b) < head+int(b[8]) {
		return v, nil, false
	}
	n := head + int(b[8])
	return vouch{binary.BigEndian.Uint64(b), raft.ServerID(b[head:n])}, b[n:], true
}

// vouched is the read index for who vouches so, if no more is needed for it.
func (n *node) vouched(v vouch) (index uint64, ok bool) {
	term := n.serving.Load()
	if !n.leads() || v.term != term || v.id == n.id || !majority(n.servers(), n.id, v.id) {
		return 0, false
	}
	index, _ = n.state.Applied()
	return index, n.leads() && n.serving.Load() == term
}

// majority tells whether these are more than half of the voters.
func majority(servers []raft.Server, ids ...raft.ServerID) bool {
	voters, these := 0, 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if slices.Contains(ids, s.ID) {
			these++
		}
	}
	return these > voters/2
}
