package raftstore

import (
	"encoding/binary"
	"slices"

	"github.com/hashicorp/raft"
)

// A vouch is what a voter says of itself when the leader asks for its term, and what a follower says unasked when it asks
// for a read index, or has the leader read: the term it is in, its name, and which instance of that name it is.
//
// A follower took note of the term after the reads arrived that wait for the answer. So its word is as good as what it would answer
// to a question of the leader's (see stillLeads), and where it makes a majority together with the leader, as in a cluster
// of three, the leader need not ask anybody.
type vouch struct {
	term     uint64
	name     string
	instance string
}

// vouch is this node's own, as of now.
func (n *node) vouch() vouch {
	return vouch{term: n.raft.CurrentTerm(), name: n.cfg.Name, instance: n.instance}
}

// append gives a vouch as it is sent: u64 term; name and instance, each behind its length in one byte.
func (v vouch) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, v.term)
	dst = append(dst, byte(len(v.name)))
	dst = append(dst, v.name...)
	dst = append(dst, byte(len(v.instance)))
	return append(dst, v.instance...)
}

// parseVouch reads a vouch, and gives what follows it.
func parseVouch(b []byte) (v vouch, rest []byte, ok bool) {
	if len(b) < 8 {
		return v, nil, false
	}
	v.term = binary.BigEndian.Uint64(b)
	if v.name, rest, ok = cutString(b[8:]); ok {
		v.instance, rest, ok = cutString(rest)
	}
	return v, rest, ok
}

func cutString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}

// vouched is the read index for who vouches so, if no more is needed for it.
func (n *node) vouched(v vouch) (index readIndex, ok bool) {
	term := n.serving.Load()
	if !n.leads() || v.term != term || v.name == n.cfg.Name || !n.knows(v, v.name) {
		return readIndex{}, false
	}
	if !majority(n.servers(), n.cfg.Name, v.name) {
		return readIndex{}, false
	}
	index = n.readNow()
	return index, n.leads() && n.serving.Load() == term
}

// knows tells whether it is the member of this name that says so, and no other node of the same name.
func (n *node) knows(v vouch, name string) bool {
	return v.name == name && v.instance != "" && v.instance == n.state.Node(name)
}

// majority tells whether these are more than half of the voters.
func majority(servers []raft.Server, names ...string) bool {
	voters, these := 0, 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if slices.Contains(names, string(s.ID)) {
			these++
		}
	}
	return these > voters/2
}
