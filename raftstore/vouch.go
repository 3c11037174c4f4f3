package raftstore

import (
	"encoding/binary"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A vouch is what a follower says of itself when it asks for a read index, or has the leader read: the term it is in, and
// its server ID.
//
// A follower took note of the term after the reads arrived that wait for the answer. So its word is as good as what it would answer
// to a question of the leader's (see stillLeads), and where it makes a majority together with the leader, as in a cluster
// of three, the leader need not ask anybody.
type vouch struct {
	term uint64
	id   serverid.ID
}

// vouch is this node's own, as of now.
func (n *node) vouch() vouch { return vouch{n.raft.Term(), n.id} }

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
	return vouch{binary.BigEndian.Uint64(b), serverid.ID(b[head:n])}, b[n:], true
}

// vouched is the read index for who vouches so, if no more is needed for it.
func (n *node) vouched(v vouch) (index readIndex, ok bool) {
	term := n.serving.Load()
	if !n.leads() || v.term != term || v.id == n.id || !raftnode.Majority(n.raft.Members(), n.id, v.id) {
		return readIndex{}, false
	}
	index = n.readNow()
	return index, n.leads() && n.serving.Load() == term
}
