package raftstore

import (
	"context"
	"sync"
	"time"
)

// grantLife is how long a node may wait with joining after a Grant.
const grantLife = time.Hour

// maxGrants bounds the grants that a node keeps.
const maxGrants = 64

// grants are the names of nodes that may join, once. They are kept by the node that was told so, in memory only: after
// a restart it has to be told again.
type grants struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (g *grants) give(name string, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.until == nil {
		g.until = make(map[string]time.Time)
	}
	for name, until := range g.until {
		if now.After(until) {
			delete(g.until, name)
		}
	}
	if len(g.until) >= maxGrants {
		return refuse("%d nodes may join already", maxGrants)
	}
	g.until[name] = now.Add(grantLife)
	return nil
}

// has tells whether a node may join, and ends that if take is true.
func (g *grants) has(name string, take bool, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.until[name]
	if take {
		delete(g.until, name)
	}
	return ok && !now.After(until)
}

// mayJoin tells whether a node of a name may join the cluster that this node leads.
func (s *admission) mayJoin(ctx context.Context, n *node, name string) bool {
	if s.cfg.Security == nil || s.cfg.OpenJoins {
		return true
	}
	if _, member := n.raft.Named(name); member {
		return true
	}
	for _, c := range s.cfg.Cluster {
		if c.Name == name {
			return true
		}
	}
	return s.granted(ctx, n, memberRequest{Name: name, Dry: true, By: n.id})
}

// useGrant ends the grant of a node that has been taken in.
func (s *admission) useGrant(n *node, name string) {
	if s.cfg.Security != nil && !s.cfg.OpenJoins {
		s.granted(s.ctx, n, memberRequest{Name: name, By: n.id})
	}
}

// granted tells whether any member was told that a node may join, and ends that unless the request is dry.
func (s *admission) granted(ctx context.Context, n *node, req memberRequest) (found bool) {
	found = s.grants.has(req.Name, !req.Dry, time.Now())
	for _, m := range n.raft.Members() {
		if m.ID == n.id || found && req.Dry {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, s.cfg.timing.hello)
		var out memberAnswer
		err := s.peers.call(ctx, n.raft.Peer(m), opGranted, req, &out)
		cancel()
		found = found || err == nil && out.Member
	}
	return found
}
