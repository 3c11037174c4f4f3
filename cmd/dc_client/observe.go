package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/distcache/distcache/internal/health"
	"github.com/distcache/distcache/internal/metrics"
	"github.com/distcache/distcache/internal/metrics/upstream"
	"github.com/distcache/distcache/proxy"
)

// healthBound is how long the proxy may take to show that it is alive.
const healthBound = 2 * time.Second

// observe registers the metrics and adds what the admin listener answers besides status.
func (s *service) observe(reg *prometheus.Registry) {
	metrics.AddServer(reg, s.server.Stats)
	upstream.Add(reg, s.proxy.Status)
	s.admin.mux.Handle("GET /metrics", metrics.Handler(reg))
	s.admin.mux.Handle("GET /healthz", health.Handler(health.Shared(s.alive, healthBound)))
	s.admin.mux.Handle("GET /readyz", health.Handler(health.Shared(s.ready, healthBound)))
}

// alive is nil while the proxy is not stuck. That it has no server is no fault of its own.
func (s *service) alive(context.Context) error {
	s.proxy.Status()
	return nil
}

// ready is nil while there is a server to ask.
func (s *service) ready(context.Context) error {
	if s.stopping.Load() {
		return errors.New("stopping")
	}
	servers := s.proxy.Status().Servers
	for _, one := range servers {
		if one.Used && one.State == proxy.Ready {
			return nil
		}
	}
	err := errors.New("no server can answer")
	for _, one := range servers {
		err = fmt.Errorf("%w; %s is %v", err, one.Name, one.State)
		if one.Error != "" {
			err = fmt.Errorf("%w (%s)", err, one.Error)
		}
	}
	return err
}
