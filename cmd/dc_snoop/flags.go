package main

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/daemon"
	"github.com/distcache/distcache/snoop"
	"github.com/distcache/distcache/wire"
)

const program = "dc_snoop"

const intro = `usage: dc_snoop -listen ADDR -server ADDR [flags]

Stands between distcache clients and their server, passes everything on unchanged, and prints a line
for each request and each answer.

  all messages            dc_snoop -listen UNIX:/tmp/scache -server IP:localhost:9001
  only failing REMOVEs?   dc_snoop ... -op remove -format json |
                              jq 'select(.event == "answer" and .status != "OK")'
  how long it takes       dc_snoop ... -quiet -stats -interval 5

ADDR is IP:HOST:PORT, UNIX:PATH or FD:N, and to listen also IP:PORT for all interfaces.`

// options are dc_snoop's settings.
type options struct {
	listen []wire.Address
	server []wire.Address // exactly one; parse checks that
	snoop  snoop.Config
	output string // a file; empty: standard output
	tls    *config.TLS
	daemon *daemon.Options
}

func (o *options) flags() *config.Set {
	o.snoop = snoop.Config{Format: snoop.Text, Interval: 10 * time.Second}
	set := config.New(program, intro)
	set.Group("Connections")
	set.Addresses(&o.listen, "listen", "where clients connect; may be repeated; needed")
	set.Addresses(&o.server, "server", "the server that clients are passed on to; needed", "connect")

	set.Group("Output")
	set.String(&o.output, "output", "PATH", "the path of a file", "append the output to this file, "+
		"which only its owner may read; without it, output goes to standard output, and with -daemon nowhere")
	set.Choice(&o.snoop.Format, []string{snoop.Text, snoop.JSON}, "format", "text: lines for people, "+
		"with colours on a terminal unless $NO_COLOR is set; json: one object per line")
	set.List("op", "OP,…", "operations: add, get, remove or have",
		"show only messages of these operations; may be repeated", o.addOp)
	set.Func("id", "HEX", "the beginning of a session id, in pairs of hex digits", "",
		"show only messages about sessions whose ids begin like this", o.setID)
	set.Bool(&o.snoop.Quiet, "quiet", "print no lines about messages and connections, "+
		"except about malformed traffic and a server that can't be reached")
	set.Bool(&o.snoop.Stats, "stats", "print a summary for each operation at the end, and every -interval; "+
		"it counts all traffic, also what -op and -id hide")
	set.Func("interval", "SECONDS", "a number of seconds, or a duration such as 1m30s; 0 is only at the end", "10",
		"with -stats, the time between two summaries; 0 is only at the end", o.setInterval)
	set.Bool(&o.snoop.Data, "data", "add a dump of every payload. DANGER: session data are secrets; "+
		"whoever has them can decrypt or take over those TLS sessions. "+
		"Without this flag only sizes and the first bytes of session ids are shown")

	o.tls = set.TLS(true)
	set.Group("Operation")
	set.File()
	o.daemon = daemon.Flags(set)
	return set
}

func (o *options) addOp(word string) error {
	for op := wire.Op(0); op < wire.UserOps; op++ {
		if strings.EqualFold(word, op.String()) {
			if !slices.Contains(o.snoop.Ops, op) {
				o.snoop.Ops = append(o.snoop.Ops, op)
			}
			return nil
		}
	}
	return fmt.Errorf("there is no operation %q", word)
}

// setID takes an id as the output shows it, with or without the dots at its end.
func (o *options) setID(text string) (err error) {
	digits := strings.TrimRight(text, ".")
	id, err := hex.DecodeString(digits)
	switch {
	case digits == "":
		return errors.New("there are no digits")
	case errors.Is(err, hex.ErrLength):
		return fmt.Errorf("%q has an odd number of digits", text)
	case err != nil:
		return fmt.Errorf("%q is not hex", text)
	case len(id) > wire.MaxID:
		return fmt.Errorf("%d bytes are longer than any id, which has at most %d", len(id), wire.MaxID)
	}
	o.snoop.IDPrefix = id
	return nil
}

func (o *options) setInterval(text string) error {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n <= uint64(math.MaxInt64/time.Second) {
		o.snoop.Interval = time.Duration(n) * time.Second
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("not %q", text)
	}
	o.snoop.Interval = d
	return nil
}

// parse reads the settings from args, the environment and a file, and checks that they go together.
func parse(args []string, stdout io.Writer) (*options, error) {
	opts := new(options)
	set := opts.flags()
	if err := set.ParseFlags(args, stdout); err != nil {
		return nil, err
	}
	switch {
	case len(opts.listen) == 0:
		return nil, config.Usagef("-listen is needed: where clients connect, such as -listen UNIX:/tmp/scache")
	case len(opts.server) == 0:
		return nil, config.Usagef("-server is needed: where clients are passed on to, such as -server IP:localhost:9001")
	case len(opts.server) > 1:
		return nil, config.Usagef("-server is given %d times: dc_snoop passes all connections on to one server; "+
			"dc_client takes several", len(opts.server))
	case set.OnCommandLine("interval") && !opts.snoop.Stats:
		return nil, config.Usagef("-interval needs -stats")
	}
	if err := opts.server[0].CheckDial(); err != nil {
		return nil, config.Usagef("-server: %w", err)
	}
	if err := config.NotTwice(config.Places("-listen", opts.listen)); err != nil {
		return nil, err
	}
	return opts, cmp.Or(opts.tls.Needed("-listen", opts.listen), opts.tls.Needed("-server", opts.server),
		config.NotItself(opts.listen, opts.server))
}
