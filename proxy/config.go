package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/distcache/distcache/internal/rawconn"
	"github.com/distcache/distcache/wire"
)

// Defaults of a Config.
const (
	DefaultTimeout     = 3 * time.Second
	DefaultRetry       = 5 * time.Second
	DefaultMaxInFlight = 1 << 16
)

// A Config is what [New] builds a proxy from. Only Servers is required; elsewhere the zero value means the default.
type Config struct {
	// Servers are asked, in order of preference.
	Servers []Server
	// Timeout is the longest a request may take. How long a server may be silent, and how often it is probed, follow
	// from Timeout: with the default of 3 s, a silent server is left after about 1 s.
	Timeout time.Duration
	// Retry is the longest wait between two attempts to connect to a server.
	Retry time.Duration
	// MaxInFlight is the most requests under way at one server; one more is answered Disconnected at once.
	MaxInFlight int
	// Logger hears of servers that come and go. Default: nobody does.
	Logger *slog.Logger
}

// A Server is a server that a proxy may ask. Dial connects to it; Name is its name in the log and in [Status].
type Server struct {
	Name string
	Dial func(context.Context) (net.Conn, error)
}

// At returns the server at an address. On a unix socket, root or this process's user must listen, or one of the users
// given.
func At(a wire.Address, users ...int) Server {
	return Server{Name: a.String(), Dial: rawconn.OwnedBy(a.Dial, users...)}
}

func (c Config) withDefaults() (Config, error) {
	if len(c.Servers) == 0 {
		return c, errors.New("proxy: no servers given")
	}
	for i, s := range c.Servers {
		if s.Dial == nil {
			return c, fmt.Errorf("proxy: server %d has no way to connect to it", i+1)
		}
	}
	if c.Timeout < 0 || c.Retry < 0 || c.MaxInFlight < 0 {
		return c, fmt.Errorf("proxy: a negative setting: timeout %v, retry %v, in flight %d",
			c.Timeout, c.Retry, c.MaxInFlight)
	}
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Retry = cmp.Or(c.Retry, DefaultRetry)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, DefaultMaxInFlight)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return c, nil
}

// bounds are what follows from Config.Timeout.
type bounds struct {
	silence  time.Duration // a server that owes answers and has sent none for so long is pinged
	verdict  time.Duration // how long the server then has to answer
	tick     time.Duration // how often a server is checked
	interval time.Duration // how often a server without other traffic is asked a question
}

const (
	leastSilence = 20 * time.Millisecond
	mostSilence  = time.Second
)

func boundsOf(timeout time.Duration) bounds {
	s := min(max(timeout/6, leastSilence), mostSilence)
	return bounds{silence: s, verdict: s, tick: s / 5, interval: 2 * s}
}
