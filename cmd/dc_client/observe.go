package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/distcache/distcache/internal/health"
	"github.com/distcache/distcache/internal/httpd"
	"github.com/distcache/distcache/internal/metrics"
	"github.com/distcache/distcache/internal/metrics/upstream"
	"github.com/distcache/distcache/proxy"
)

// adminTimeout is the longest that an answer of the admin listener may take.
const adminTimeout = 5 * time.Second

// newAdmin makes the admin server, which answers over HTTP and changes nothing:
//
//	GET /v1/status   proxy.Status
//	GET /metrics     for Prometheus
//	GET /healthz     200 while the proxy is alive
//	GET /readyz      200 while it has a server to ask
func (s *service) newAdmin(reg *prometheus.Registry) *httpd.Server {
	metrics.AddServer(reg, s.server.Stats)
	upstream.Add(reg, s.proxy.Status)
	if source := s.opts.tls.Source(); source != nil {
		metrics.AddCertificate(reg, source.DaysLeft)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		httpd.Answer(w, http.StatusOK, s.proxy.Status())
	})
	mux.Handle("GET /metrics", metrics.Handler(reg))
	health.Handle(mux, s.alive, s.ready)
	return httpd.New(http.MaxBytesHandler(mux, 0), s.log, adminTimeout)
}

// alive is nil while the proxy is not stuck. A proxy without a server is alive too: a restart would not help.
func (s *service) alive(context.Context) error {
	s.proxy.Status()
	return nil
}

// ready is nil while a server can answer.
func (s *service) ready(context.Context) error {
	if s.Stopping() {
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
