package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/health"
	"github.com/distcache/distcache/internal/metrics"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

const (
	// aliveProbe and readyProbe are how long a read may take that is made for that: the former need not be answered.
	aliveProbe = 100 * time.Millisecond
	readyProbe = time.Second
	// caughtUp is how many committed log entries a node that is ready may still have to apply: what comes in while
	// entries are under way.
	caughtUp = 1000
)

// probeID is no client's session: it is asked for to see whether there is an answer.
var probeID = []byte("distcache health probe")

// observe registers the metrics and adds what the admin listener answers besides dc_admin.
func (s *service) observe(reg *prometheus.Registry) {
	metrics.AddServer(reg, s.server.Stats)
	s.back.register(reg)
	s.admin.Handle("GET /metrics", metrics.Handler(reg))
	health.Handle(s.admin, s.alive, s.ready)
}

// alive is nil when nothing hangs. That there is no leader is no fault of this process's own.
func (s *service) alive(ctx context.Context) error {
	s.back.node.Status()
	ctx, cancel := context.WithTimeout(ctx, aliveProbe)
	defer cancel()
	_ = s.back.store.Have(ctx, probeID)
	return nil
}

// ready is nil when this node can answer clients: it belongs to a cluster that has a leader, has caught up with it, and
// a read comes back.
func (s *service) ready(ctx context.Context) error {
	if s.Stopping() {
		return errors.New("stopping")
	}
	st := s.back.node.Status()
	switch st.Role {
	case raftstore.RoleLeader, raftstore.RoleFollower, admin.RoleMemory:
	default:
		if st.Reason != "" {
			return fmt.Errorf("%s: %s", st.Role, st.Reason)
		}
		return fmt.Errorf("no leader: this node is %s", st.Role)
	}
	if st.Role == raftstore.RoleFollower && st.Leader == "" {
		return errors.New("no leader")
	}
	if st.Commit > st.Applied+caughtUp {
		return fmt.Errorf("catching up: %d log entries to go", st.Commit-st.Applied)
	}
	ctx, cancel := context.WithTimeout(ctx, readyProbe)
	defer cancel()
	if err := s.back.store.Have(ctx, probeID); err != nil && !errors.Is(err, wire.NotOK) {
		return fmt.Errorf("a read was not answered: %w", err)
	}
	return nil
}
