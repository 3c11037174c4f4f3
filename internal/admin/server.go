package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/distcache/distcache/internal/httpd"
	"github.com/distcache/distcache/raftstore"
)

// The bounds on what a client of the admin listener can take up.
const (
	maxBody        = 64 << 10
	readTimeout    = 10 * time.Second // for a reading call to be answered
	changeTimeout  = time.Minute      // for a change of the cluster
	compactTimeout = time.Hour        // for a node's files to be copied
	answerTimeout  = 5 * time.Second  // for an answer to be sent
)

// A Server answers the calls of dc_admin for one node. It may serve several listeners at once.
type Server struct {
	node   Node
	log    *slog.Logger
	mux    *http.ServeMux
	http   *httpd.Server
	life   context.Context // ends the calls that change the cluster
	end    context.CancelFunc
	serves context.Context // ends the other calls; Shutdown cancels it first
	stop   context.CancelFunc
	change sync.Mutex // held during a change of the cluster
	names  []string
}

// NewServer returns a Server for node.
func NewServer(node Node, log *slog.Logger) *Server {
	s := &Server{node: node, log: log, mux: http.NewServeMux()}
	s.life, s.end = context.WithCancel(context.Background())
	s.serves, s.stop = context.WithCancel(s.life)
	s.http = httpd.New(s, log, readTimeout+answerTimeout)
	s.mux.HandleFunc("GET /v1/status", s.status)
	s.mux.HandleFunc("GET /v1/members", s.members)
	s.mux.HandleFunc("POST /v1/join", change(s, s.join))
	s.mux.HandleFunc("POST /v1/leave", change(s, s.leave))
	s.mux.HandleFunc("POST /v1/remove", change(s, s.remove))
	s.mux.HandleFunc("POST /v1/transfer", change(s, s.transfer))
	s.mux.HandleFunc("POST /v1/grant", change(s, s.grant))
	s.mux.HandleFunc("POST /v1/compact", work(s, s.serves, compactTimeout, s.compact))
	return s
}

// Handle adds a route such as "GET /metrics". It must not be called after Serve.
func (s *Server) Handle(pattern string, handler http.Handler) { s.mux.Handle(pattern, handler) }

// Serve answers calls on l until Shutdown, and then returns nil. Any other error is the listener's.
func (s *Server) Serve(l net.Listener) error {
	return s.http.Serve(l)
}

// Shutdown closes the listeners and cancels the calls that can be repeated. It waits for the other calls until ctx is
// done, and then cuts them off. The Server can't be used afterwards.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	defer s.end()
	return s.http.Shutdown(ctx)
}

// ServeHTTP answers a request, if whoever asks may ask that: see denied.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e := s.denied(r); e != nil {
		fail(w, e)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mux.ServeHTTP(w, r)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) { answer(w, s.node.Status()) }

func (s *Server) members(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	members, err := s.node.Members(ctx)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, members)
}

func (s *Server) join(ctx context.Context, req joinRequest) error {
	if len(req.Peers) == 0 {
		return badRequest("join needs the address of at least one peer")
	}
	return s.node.Join(ctx, req.Peers, req.Discard)
}

func (s *Server) leave(ctx context.Context, _ leaveRequest) error {
	return s.leaderless(ctx, s.node.Leave(ctx))
}

func (s *Server) remove(ctx context.Context, req removeRequest) error {
	if req.Name == "" {
		return badRequest("remove needs the name of a node")
	}
	if !req.Force {
		if err := s.isGone(ctx, req.Name); err != nil {
			return err
		}
	}
	return s.leaderless(ctx, s.node.RemoveNode(ctx, req.Name))
}

// isGone refuses to remove a node that answers. A running node should leave: if it is removed, it goes on until it
// notices.
func (s *Server) isGone(ctx context.Context, name string) error {
	members, _ := s.node.Members(ctx) // on an error the removal fails too, and reports it
	for _, m := range members {
		if m.Name == name && m.Error == "" && m.Role != raftstore.RoleUnreachable {
			return &Error{
				Code:    http.StatusConflict,
				Message: fmt.Sprintf("%s answers, and is %s", name, m.Role),
				Hint:    fmt.Sprintf("Say \"dc_admin leave\" to %s itself. -force removes it all the same.", name),
			}
		}
	}
	return nil
}

func (s *Server) transfer(ctx context.Context, req transferRequest) error {
	return s.leaderless(ctx, s.node.Transfer(ctx, req.Name))
}

func (s *Server) grant(_ context.Context, req grantRequest) error { return s.node.Grant(req.Name) }

// change makes a handler of a call that changes the cluster. One runs at a time.
func change[T any](s *Server, call func(context.Context, T) error) http.HandlerFunc {
	return work(s, s.life, changeTimeout, func(ctx context.Context, req T) (any, error) {
		if !s.change.TryLock() {
			return nil, &Error{
				Code:    http.StatusConflict,
				Message: "another change of the cluster is under way on this node",
				Hint:    "Ask again when it is done; \"dc_admin members\" shows how things stand.",
			}
		}
		defer s.change.Unlock()
		return struct{}{}, call(ctx, req)
	})
}

// leaderless adds to the error of a change why the cluster has no leader, if that is the error's cause.
func (s *Server) leaderless(ctx context.Context, err error) error {
	if !errors.Is(err, raftstore.ErrNoLeader) {
		return err
	}
	e := &Error{
		Code:    http.StatusServiceUnavailable,
		Message: err.Error(),
		Hint:    "A change needs a leader, and a leader a majority of the voters: start those that are down, or see what is between them.",
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	if members, err := s.node.Members(ctx); err == nil && len(members) > 0 {
		e.Message += ": " + Votes(members)
	}
	return e
}

func (s *Server) compact(ctx context.Context, _ compactRequest) (any, error) {
	return s.node.Compact(ctx)
}

// work makes a handler of a call that does something. The call goes on when its client goes away, so that nothing is
// left half done. It ends with life, or after limit.
func work[T any](s *Server, life context.Context, limit time.Duration, call func(context.Context, T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req T
		if err := decode(r.Body, &req); err != nil {
			fail(w, err)
			return
		}
		// The server's own deadline is for calls that are answered at once.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit + answerTimeout))
		ctx, cancel := context.WithTimeout(life, limit)
		defer cancel()
		log := s.log.With("call", r.URL.Path, "request", fmt.Sprintf("%+v", req))
		log.Info("asked by dc_admin")
		done, err := call(ctx, req)
		if err != nil {
			log.Warn("what dc_admin asked for failed", "error", err)
			fail(w, err)
			return
		}
		log.Info("what dc_admin asked for is done")
		answer(w, done)
	}
}

func decode(body io.Reader, into any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return &Error{Code: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the request is over %d bytes", tooLong.Limit)}
	case err != nil:
		return badRequest("the request is not the JSON that this call takes: " + err.Error())
	case d.More():
		return badRequest("the request goes on after its JSON")
	}
	return nil
}

func badRequest(message string) error { return &Error{Code: http.StatusBadRequest, Message: message} }

func answer(w http.ResponseWriter, v any) { httpd.Answer(w, http.StatusOK, v) }

// fail answers with an error. The HTTP status is an [Error]'s own, 504 for a deadline, and 409 for any other error:
// the node's state did not allow the call.
func fail(w http.ResponseWriter, err error) {
	e := &Error{Code: http.StatusConflict, Message: err.Error()}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		e.Hint = hinted.Hint()
	}
	var own *Error
	switch {
	case errors.As(err, &own):
		e.Code, e.Hint = own.Code, own.Hint
	case errors.Is(err, context.DeadlineExceeded):
		e.Code = http.StatusGatewayTimeout
		e.Hint = "Whether it took effect is not known; \"dc_admin members\" shows how things stand."
	case errors.Is(err, context.Canceled):
		e.Code, e.Message = http.StatusServiceUnavailable, "this node is stopping"
	}
	httpd.Answer(w, e.Code, e)
}
