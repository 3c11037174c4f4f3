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
	// aliveProbe and readyProbe bound the reads with which alive and ready probe the store. A read for alive need not
	// be answered in this time.
	aliveProbe = 100 * time.Millisecond
	readyProbe = time.Second
	// caughtUp is how many committed log entries a ready node may still have to apply. Under load a healthy node
	// always has some.
	caughtUp = 1000
)

// probeID is the id of no client's session. Health checks read it to see whether reads are answered.
var probeID = []byte("distcache health probe")

// observe registers the metrics, and adds /metrics, /healthz and /readyz to the admin listener.
func (s *service) observe(reg *prometheus.Registry) {
	metrics.AddServer(reg, s.server.Stats)
	s.back.register(reg)
	if source := s.opts.tls.Source(); source != nil {
		metrics.AddCertificate(reg, source.DaysLeft)
	}
	s.admin.Handle("GET /metrics", metrics.Handler(reg))
	health.Handle(s.admin, s.alive, s.ready)
}

// alive is nil when nothing hangs. A node without a leader is alive: a restart would not help.
func (s *service) alive(ctx context.Context) error {
	s.back.node.Status()
	ctx, cancel := context.WithTimeout(ctx, aliveProbe)
	defer cancel()
	_ = s.back.store.Have(ctx, probeID)
	return nil
}

// ready is nil when this node can answer clients: its cluster has a leader, the node has applied almost all committed
// entries, and a read is answered.
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
