package server

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/internal/ratelog"
	"github.com/distcache/distcache/internal/serve"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// ErrClosed is what Serve and ServeConn return when the server has been shut down before they were called.
var ErrClosed = serve.ErrClosed

// Limits bound what clients may take up; see the fields. The zero value of each means its default.
type Limits = serve.Limits

// A Config is what [New] builds a server from. Only Store is required; elsewhere the zero value means the default.
type Config struct {
	// Store answers the requests. Closing it is up to the caller, after the server is closed.
	Store store.Store
	// Logger hears of bad connections, failing stores and refused work. Default: nobody does.
	Logger *slog.Logger
	// Observe, if not nil, is told of each answer: what was asked, what was said, and the time from the request's
	// arrival. It is called on the serving goroutines, many at a time, and must be quick.
	Observe func(op wire.Op, status wire.Status, took time.Duration)
	// MinTimeout is the least timeout a session gets: an ADD that asks for less is given this. Stock httpd needs it
	// (PROTOCOL.md, "What real clients do"). Default 0: clients get what they ask for.
	MinTimeout time.Duration
	// Limits bound what clients may take up. A request past them is answered Disconnected.
	Limits
}

// A Server serves one store on any number of listeners and connections. Make one with [New]. All its methods may be
// called at once.
type Server struct {
	*serve.Server
	cfg      Config
	prompt   store.NonBlocking // the store, if it is one
	async    store.AsyncStore  // the same
	seed     maphash.Seed
	answers  answers
	progress atomic.Pointer[progress]
	badStore *ratelog.Logger
}

// New makes a server. It fails when the configuration makes no sense, and starts nothing.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("server: no store given")
	case cfg.MinTimeout < 0:
		return nil, fmt.Errorf("server: MinTimeout is negative: %v", cfg.MinTimeout)
	case cfg.MinTimeout > wire.MaxTimeout:
		return nil, fmt.Errorf("server: MinTimeout is over the protocol's longest timeout of %v: %v",
			wire.MaxTimeout, cfg.MinTimeout)
	}
	s := &Server{cfg: cfg, seed: maphash.MakeSeed()}
	s.prompt, _ = cfg.Store.(store.NonBlocking)
	s.async, _ = cfg.Store.(store.AsyncStore)
	var err error
	s.Server, err = serve.New(serve.Config{
		Open:       func(c *serve.Conn) serve.Session { return &session{s: s, conn: c, now: reply{s: s}} },
		MaxMessage: wire.Size(wire.MaxPayload),
		Inline:     s.async != nil,
		Logger:     cfg.Logger,
		Limits:     cfg.Limits,
	})
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s.badStore = s.RateLimited("store errors")
	return s, nil
}
