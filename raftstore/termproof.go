package raftstore

import (
	"encoding/binary"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A termProof is what a follower sends with its request for a read index, or for a read: its term and its server ID.
//
// The follower reads its term after the reads arrived that wait for the answer. So the proof is worth as much as an
// answer to the leader's own question (see stillLeads). Where leader and follower are a majority of the voters, as in a
// cluster of three, the leader need not ask anybody.
type termProof struct {
	term uint64
	id   serverid.ID
}

// termProof is this node's, as of now.
func (n *node) termProof() termProof { return termProof{n.raft.Term(), n.id} }

// append gives a proof as it is sent: u64 term; the length of the ID in one byte; the ID.
func (v termProof) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, v.term)
	return append(append(dst, byte(len(v.id))), v.id...)
}

// parseTermProof reads a proof, and gives what follows it.
func parseTermProof(b []byte) (v termProof, rest []byte, ok bool) {
	const head = 8 + 1
	if len(b) < head || len(b) < head+int(b[8]) {
		return v, nil, false
	}
	n := head + int(b[8])
	return termProof{binary.BigEndian.Uint64(b), serverid.ID(b[head:n])}, b[n:], true
}

// provenIndex is the read index, if a follower's proof is enough to give it.
func (n *node) provenIndex(v termProof) (index readIndex, ok bool) {
	term := n.serving.Load()
	if !n.leads() || v.term != term || v.id == n.id || !raftnode.Majority(n.raft.Members(), n.id, v.id) {
		return readIndex{}, false
	}
	index = n.readNow()
	return index, n.leads() && n.serving.Load() == term
}
