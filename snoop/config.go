package snoop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/distcache/distcache/wire"
)

// Forms of output.
const (
	Text = "text" // for people
	JSON = "json" // one object per line
)

// A Config is what [New] builds a Snooper from. Dial and Output are required; elsewhere the zero value means the
// default.
type Config struct {
	// Dial connects to the server, once for each client.
	Dial func(context.Context) (net.Conn, error)
	// Output takes the lines. It is written to from one goroutine at a time, whole lines only.
	Output io.Writer
	// Logger is told when the output fails, and of connections that can't be accepted. Default: no log.
	Logger *slog.Logger

	// Format is Text or JSON. Default Text.
	Format string
	// Colour makes text coloured, for a terminal.
	Colour bool
	// Data adds a dump of every payload: session data, which are secrets.
	Data bool
	// Quiet leaves out the lines about messages and connections, but not those about malformed traffic and about a
	// server that can't be reached.
	Quiet bool
	// Ops, if any are given, are the only operations whose messages are shown. Lines about connections are then left
	// out.
	Ops []wire.Op
	// IDPrefix, if not empty, limits the messages shown to sessions whose ids begin with it. Lines about connections
	// are then left out.
	IDPrefix []byte
	// Stats adds a summary at the end, of all traffic, whether it was shown or not.
	Stats bool
	// Interval, with Stats, is the time between summaries of what went by since the last one. Default 0: none but the
	// summary at the end.
	Interval time.Duration

	// DialTimeout bounds connecting to the server. Default 5 s.
	DialTimeout time.Duration
	// MaxConns is the most clients at a time; one more is closed at once. Default: 32768, or what the open file limit
	// allows.
	MaxConns int
	// MaxQueue is how many bytes of lines may wait for the output. Default 4 MiB.
	MaxQueue int
}

const (
	defaultDialTimeout = 5 * time.Second
	defaultMaxConns    = 1 << 15
	defaultMaxQueue    = 4 << 20
)

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Dial == nil:
		return c, errors.New("snoop: no way to connect to a server given")
	case c.Output == nil:
		return c, errors.New("snoop: no output given")
	case len(c.IDPrefix) > wire.MaxID:
		return c, fmt.Errorf("snoop: an id has at most %d bytes, not %d", wire.MaxID, len(c.IDPrefix))
	case c.Interval < 0 || c.DialTimeout < 0 || c.MaxConns < 0 || c.MaxQueue < 0:
		return c, errors.New("snoop: a bound is negative")
	}
	if c.Format = cmp.Or(c.Format, Text); c.Format != Text && c.Format != JSON {
		return c, fmt.Errorf("snoop: there is no format %q", c.Format)
	}
	for _, op := range c.Ops {
		if op >= wire.UserOps {
			return c, fmt.Errorf("snoop: there is no operation %d", op)
		}
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	c.DialTimeout = cmp.Or(c.DialTimeout, defaultDialTimeout)
	c.MaxConns = cmp.Or(c.MaxConns, maxConns())
	c.MaxQueue = cmp.Or(c.MaxQueue, defaultMaxQueue)
	return c, nil
}

// maxConns is the default of Config.MaxConns. Each client takes two files, and some files are left for others.
func maxConns() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return defaultMaxConns
	}
	files := int(min(limit.Cur, 4*defaultMaxConns))
	return max(1, min(defaultMaxConns, (files-32)/2))
}
