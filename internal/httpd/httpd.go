// Package httpd is the HTTP server of the daemons, for dc_admin, Prometheus and load balancers. It bounds the
// connections, time and memory that clients can take up.
package httpd

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// MaxHeader is the most bytes of a request's headers.
const MaxHeader = 16 << 10

// Bounds on what a client can take up.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second // to read a whole request
	idleTimeout    = 30 * time.Second
)

// A Server answers on any number of listeners.
type Server struct {
	http    http.Server
	places  places
	handler http.Handler
}

// New makes a Server. answer bounds the time of a request from the end of its headers.
func New(handler http.Handler, log *slog.Logger, answer time.Duration) *Server {
	s := &Server{handler: handler}
	s.http = http.Server{
		Handler:           s,
		ConnState:         s.places.changed,
		ConnContext:       s.places.context,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout + answer,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    MaxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	end, ok := s.places.begin(r)
	if !ok {
		http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
		return
	}
	defer end()
	s.handler.ServeHTTP(w, r)
}

// Serve answers on l until Shutdown, and then returns nil. Other errors are the listener's.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(listener{l, &s.places}); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown closes the listeners and waits for requests under way. When ctx ends it cuts them off.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.http.Shutdown(ctx) != nil {
		return s.http.Close()
	}
	return nil
}

// Answer answers with JSON.
func Answer(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // fails only if the client is gone
}
