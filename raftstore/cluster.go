package raftstore

import (
	"encoding/binary"
	"hash/fnv"

	"github.com/hashicorp/raft"
)

// clusterKey is where the cluster's own name is registered, beside those of its nodes: none of them can be called that.
const clusterKey = "/cluster"

// clusterName is what this node's state says of its cluster, empty when it has not come to that yet.
func (n *node) clusterName() string { return n.state.Node(clusterKey) }

// clusterName is that of the present node.
func (s *Store) clusterName() string {
	if n := s.node.Load(); n != nil {
		return n.clusterName()
	}
	return ""
}

// loggedName is the name that the present node's log gives its cluster, see memberLog.
func (s *Store) loggedName() string {
	if n := s.node.Load(); n != nil {
		return n.members.clusterName()
	}
	return ""
}

// clusterNumber stands for the cluster's name, 0 as long as that is not known. Once given, a cluster keeps its name.
func (n *node) clusterNumber() uint64 {
	if number := n.cluster.Load(); number != 0 {
		return number
	}
	name := n.clusterName()
	if name == "" {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	number := max(h.Sum64(), 1)
	n.cluster.Store(number)
	return number
}

// findName has the cluster's name noticed that is in the log and not applied yet. Raft must not have been started.
func (n *node) findName() error {
	if n.clusterNumber() != 0 {
		return nil
	}
	applied, _ := n.state.Applied()
	first, err := n.files.FirstIndex()
	if err != nil {
		return err
	}
	last, err := n.files.LastIndex()
	if err != nil {
		return err
	}
	for i := max(first, applied+1); i <= last; i++ {
		var e raft.Log
		if err := n.files.GetLog(i, &e); err != nil {
			return err
		}
		n.members.notice(&e)
	}
	return nil
}

// appendCluster begins a request that only the leader of this node's own cluster may answer.
//
// What the other members know as the leader's address may be another node's by now: one that was started there with an
// empty directory and without its cluster, and leads one of its own. It would take sessions that nobody finds again, and
// say that others are not there.
func (n *node) appendCluster(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, n.clusterNumber())
}

// cutCluster takes off what appendCluster put before a request.
func cutCluster(payload []byte) (number uint64, rest []byte, ok bool) {
	if len(payload) < 8 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(payload), payload[8:], true
}

// leadsCluster tells whether this node, which leads, is the leader that a member of the cluster of this number means.
//
// A node that does not know its cluster's name yet is new to it, and believed. A leader knows the name when another member
// does, or is about to: that one has applied the log entry, which so was committed.
func (n *node) leadsCluster(number uint64) bool { return number == 0 || number == n.clusterNumber() }
