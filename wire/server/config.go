package server

import (
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// A Config is what [New] builds a server from. Only Store is required; elsewhere the zero value means the default.
type Config struct {
	// Store answers the requests. Closing it is up to the caller, after the server is closed.
	Store store.Store
	// Logger hears of bad connections, failing stores and refused work. Default: nobody does.
	Logger *slog.Logger
	// Observe, if not nil, is told of each answer: what was asked, what was said, and the time from the request's
	// arrival. It is called on the serving goroutines, many at a time, and must be quick.
	Observe func(op wire.Op, status wire.Status, took time.Duration)

	// RequestTimeout is the longest a request may take from its arrival; past it the answer is Disconnected.
	// Default 2 s.
	RequestTimeout time.Duration
	// MinTimeout is the least timeout a session gets: an ADD that asks for less is given this. Stock httpd needs it
	// (PROTOCOL.md, "What real clients do"). Default 0: clients get what they ask for.
	MinTimeout time.Duration

	// MaxConns is the most connections at a time; one more is closed at once, so that its client, a web server in
	// the middle of a handshake, goes on without the cache rather than wait. Default: 65536, or what the open file
	// limit allows with some left for files and peers.
	MaxConns int
	// MaxInFlight is the most requests at a time on one connection; past it the connection isn't read. A request
	// counts until its answer has been handed to the kernel. Default 512.
	MaxInFlight int
	// MaxRequests is the most requests at a time in the whole server; one more is answered Disconnected at once.
	// Default 65536.
	MaxRequests int
	// MaxUntaken is the most bytes of answers in the whole server that wait for their clients to take them. Past it,
	// a connection that has more than its share of them, and 64 KiB, waiting is closed when another answer comes up.
	// Default 256 MiB.
	MaxUntaken int
	// MaxHeld is the most bytes of requests in the whole server whose store calls are under way. Past it, a connection
	// that has its share of them, and 64 KiB, isn't read until it has less. Default 256 MiB.
	MaxHeld int
	// MessageTimeout is how long a peer may take to finish a message that it has begun. Default 10 s.
	MessageTimeout time.Duration
	// WriteTimeout is how long a peer may take to accept an answer. Default 10 s.
	WriteTimeout time.Duration
	// IdleTimeout drops a connection that has had no request open for so long, give or take a half. Default 0: never.
	IdleTimeout time.Duration
}

const (
	defaultRequestTimeout = 2 * time.Second
	defaultPeerTimeout    = 10 * time.Second
	defaultMaxInFlight    = 512
	defaultMaxRequests    = 1 << 16
	defaultMaxConns       = 1 << 16
	defaultMaxUntaken     = 256 << 20
	defaultMaxHeld        = 256 << 20
)

// withDefaults checks the configuration and fills in what it leaves open.
func (c Config) withDefaults() (Config, error) {
	if c.Store == nil {
		return c, errors.New("server: no store given")
	}
	for _, f := range []struct {
		name  string
		value *time.Duration
		deflt time.Duration
	}{
		{"RequestTimeout", &c.RequestTimeout, defaultRequestTimeout},
		{"MinTimeout", &c.MinTimeout, 0},
		{"MessageTimeout", &c.MessageTimeout, defaultPeerTimeout},
		{"WriteTimeout", &c.WriteTimeout, defaultPeerTimeout},
		{"IdleTimeout", &c.IdleTimeout, 0},
	} {
		if *f.value < 0 {
			return c, fmt.Errorf("server: %s is negative: %v", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.deflt
		}
	}
	if c.MinTimeout > wire.MaxTimeout {
		return c, fmt.Errorf("server: MinTimeout is over the protocol's longest timeout of %v: %v", wire.MaxTimeout, c.MinTimeout)
	}
	for _, f := range []struct {
		name  string
		value *int
		deflt func() int
	}{
		{"MaxConns", &c.MaxConns, maxConns},
		{"MaxInFlight", &c.MaxInFlight, func() int { return defaultMaxInFlight }},
		{"MaxRequests", &c.MaxRequests, func() int { return defaultMaxRequests }},
		{"MaxUntaken", &c.MaxUntaken, func() int { return defaultMaxUntaken }},
		{"MaxHeld", &c.MaxHeld, func() int { return defaultMaxHeld }},
	} {
		if *f.value < 0 {
			return c, fmt.Errorf("server: %s is negative: %d", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.deflt()
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// maxConns is the default of Config.MaxConns: an eighth of the open files, and 32 at least, are left to others.
func maxConns() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return defaultMaxConns
	}
	files := int(min(limit.Cur, 2*defaultMaxConns))
	return max(1, min(defaultMaxConns, files-max(32, files/8)))
}
