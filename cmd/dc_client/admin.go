package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/proxy"
)

// The bounds on what clients of the admin listener can take up.
const (
	maxAdminConns  = 64
	maxAdminHeader = 16 << 10
	adminRequest   = 5 * time.Second
	adminIdle      = 30 * time.Second
)

// An adminServer answers questions over HTTP, on any number of listeners. There is nothing to be changed:
//
//	GET /v1/status   proxy.Status
//	GET /metrics     for Prometheus
//	GET /healthz     200 while the proxy is alive
//	GET /readyz      200 while it has a server to ask
type adminServer struct {
	http  *http.Server
	mux   *http.ServeMux
	conns atomic.Int64
}

func newAdmin(p *proxy.Proxy, log *slog.Logger) *adminServer {
	a := &adminServer{mux: http.NewServeMux()}
	a.mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.Status()) })
	a.http = &http.Server{
		Handler:           http.MaxBytesHandler(a.mux, 0),
		ReadHeaderTimeout: adminRequest,
		ReadTimeout:       adminRequest,
		WriteTimeout:      2 * adminRequest,
		IdleTimeout:       adminIdle,
		MaxHeaderBytes:    maxAdminHeader,
		ConnState:         a.bound,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return a
}

// bound closes the connections that are too many.
func (a *adminServer) bound(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if a.conns.Add(1) > maxAdminConns {
			c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		a.conns.Add(-1)
	}
}

// serve answers on l until close.
func (a *adminServer) serve(l net.Listener) error {
	if err := a.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (a *adminServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	if a.http.Shutdown(ctx) != nil {
		a.http.Close()
	}
}

func answer(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(append(b, '\n')) // who is gone wants no answer
}
