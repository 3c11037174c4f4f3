package raftstore

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/wire"
)

// Who may ask what
//
// A connection is one server's: its greeting has the ID, and with Config.Security the certificate has the name. Members
// may ask for everything. Whoever is no member may say hello, ask to be taken in, ask whether it is a member, and ask a
// new node to found a cluster with it. What a request says of a node, or in whose name it asks, must be the asker's own.

// A process opens a client session when it starts and after failures. These bound how many a node may open.
const (
	sessionBurst = 64
	sessionEvery = 4 * time.Second
)

// sessionLimits bound the client sessions that each node opens, since the state machine keeps them for a while.
type sessionLimits struct {
	mu    sync.Mutex
	nodes map[string]*rate.Limiter // by name
}

func (l *sessionLimits) allow(from serverid.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.nodes[from.Name()]
	if limit == nil {
		if l.nodes == nil || len(l.nodes) >= maxVetted {
			l.nodes = make(map[string]*rate.Limiter)
		}
		limit = rate.NewLimiter(rate.Every(sessionEvery), sessionBurst)
		l.nodes[from.Name()] = limit
	}
	return limit.Allow()
}

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
