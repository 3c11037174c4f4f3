package main

import (
	"io"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/daemon"
	"github.com/distcache/distcache/proxy"
	"github.com/distcache/distcache/wire"
)

const program = "dc_client"

const intro = `usage: dc_client -server ADDR [flags]

The local proxy of distcache clients: it passes their requests to a dc_server over one connection.

  one server      dc_client -server IP:cache1:9001
  three           dc_client -server IP:cache1:9001,IP:cache2:9001,IP:cache3:9001
                  the first one that can answer is used; the others stand by
  before httpd    dc_client -server IP:cache1:9001 -mintimeout 300000

ADDR is IP:PORT for all interfaces, IP:HOST:PORT, UNIX:PATH or FD:N.`

const defaultListen = "UNIX:/tmp/scache"

// options are dc_client's settings.
type options struct {
	listen     []wire.Address
	servers    []wire.Address // in order of preference
	sockUser   int            // who may listen at a server's unix socket besides; -1: nobody
	retry      time.Duration
	idle       time.Duration
	timeout    time.Duration
	minTimeout time.Duration
	admin      []wire.Address
	tls        *config.TLS
	daemon     *daemon.Options
}

// mostIdle is the longest -idle: a year.
const mostIdle = 365 * 24 * time.Hour

func defaults() *options {
	return &options{timeout: proxy.DefaultTimeout, retry: proxy.DefaultRetry, sockUser: -1}
}

func (o *options) flags() *config.Set {
	set := config.New(program, intro)
	set.Group("Clients")
	set.Addresses(&o.listen, "listen", "where clients connect; may be repeated; by default "+defaultListen)
	set.Duration(&o.timeout, "timeout",
		"the longest that any request may take; then the answer is DISCONNECTED; "+
			"dc_client turns away from a silent server after about a third of this time")
	set.Millis(&o.minTimeout, 0, wire.MaxTimeout, "mintimeout",
		"raise shorter timeouts of added sessions to this; needed for Apache httpd's mod_socache_dc, "+
			"which asks for less than a second whatever its configuration says")
	set.Millis(&o.idle, 0, mostIdle, "idle", "close connections of clients that have been idle for so long; 0 is never")

	set.Group("Servers")
	set.Addresses(&o.servers, "server", "a dc_server to ask; for several, in order of preference, "+
		"repeat the flag or put commas between the addresses; needed", "connect")
	set.Millis(&o.retry, time.Millisecond, time.Hour, "retry",
		"the longest wait between two attempts to connect to a server")

	set.Func("sockuser", "USER", "a user's name or number", "", "who may listen at a server's unix socket, besides root and this user",
		func(text string) (err error) { o.sockUser, err = daemon.FindUser(text); return err })
	o.tls = set.TLS(true)
	set.Group("Operation")
	set.Addresses(&o.admin, "admin", "serve HTTP here: /v1/status on how the servers are, /metrics for Prometheus, "+
		"/healthz and /readyz; may be repeated; by default nowhere")
	set.File()
	o.daemon = daemon.Flags(set)
	return set
}

// parse reads the settings from args, the environment and a file, and checks that they go together.
func parse(args []string, stdout io.Writer) (*options, error) {
	opts := defaults()
	if err := opts.flags().ParseFlags(args, stdout); err != nil {
		return nil, err
	}
	if len(opts.servers) == 0 {
		return nil, config.Usagef("-server is needed: the dc_server to ask, such as -server IP:cache1:9001")
	}
	for _, a := range opts.servers {
		if a.Network() == "tcp" && a.Host() == "" {
			return nil, config.Usagef("-server %v names no host to connect to: it takes IP:HOST:PORT", a)
		}
		if err := a.CheckDial(); err != nil {
			return nil, config.Usagef("-server: %w", err)
		}
	}
	if len(opts.listen) == 0 {
		at, err := wire.ParseAddress(defaultListen)
		if err != nil {
			return nil, err
		}
		opts.listen = append(opts.listen, at)
	}
	for _, err := range []error{
		opts.tls.Needed("-listen", opts.listen), opts.tls.Needed("-server", opts.servers), opts.tls.Needed("-admin", opts.admin),
		config.NotItself(opts.listen, opts.servers),
		config.NoneTwice("-server", opts.servers),
		config.NotTwice(config.Places("-listen", opts.listen), config.Places("-admin", opts.admin)),
	} {
		if err != nil {
			return nil, err
		}
	}
	return opts, nil
}
