package raftstore

import (
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/wire"
)

// Who may ask what
//
// A connection is one server's: its greeting has the ID, and with Config.Security the certificate has the name. Members
// may ask for everything. Whoever is no member may say hello, ask to be taken in, ask whether it is a member, and ask a
// new node to found a cluster with it. What a request says of a node, or in whose name it asks, must be the asker's own.

// mayAsk tells whether a server may make a request to this node.
func mayAsk(n *node, from serverid.ID, op wire.Op) bool {
	switch op {
	case opHello, opJoin, opMember, opFound:
		return true
	}
	return n.raft.Knows(from)
}

// inOwnName tells whether a request about a node comes from that node, or from the node in whose name it is made.
func (r memberRequest) inOwnName(from serverid.ID, op wire.Op) bool {
	switch op {
	case opJoin, opMove, opMember: // a node has another ID when it joins
		return r.ID.Name() == from.Name()
	case opFound:
		return r.ID == from
	}
	return r.By == from
}
