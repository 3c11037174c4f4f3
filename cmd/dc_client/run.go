package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/daemon"
	"github.com/distcache/distcache/internal/httpd"
	"github.com/distcache/distcache/internal/metrics"
	"github.com/distcache/distcache/internal/tlsconf"
	"github.com/distcache/distcache/proxy"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
)

const (
	// settleTimeout is how long the start waits for a server. dc_client then starts without one.
	settleTimeout = time.Second
	// drainTimeout is added to -timeout: together they bound how long a stop waits for requests under way.
	drainTimeout = time.Second
	// endTimeout is how long a stop waits for calls to the admin listener.
	endTimeout = time.Second
)

// run runs dc_client until ctx is done.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stdout)
	if err != nil {
		return err
	}
	return opts.daemon.Run(ctx, program, stderr, func(ctx context.Context, p *daemon.Process) error {
		s := &service{Service: daemon.NewService(p), opts: opts, process: p, log: p.Log}
		p.Log.Info("starting", "version", config.Version())
		err := s.start(ctx, p)
		if err == nil {
			err = s.Wait(ctx, nil)
		}
		return errors.Join(err, s.stop())
	})
}

// A service is dc_client while it runs.
type service struct {
	*daemon.Service
	opts    *options
	process *daemon.Process
	log     *slog.Logger
	proxy   *proxy.Proxy
	server  *server.Server
	admin   *httpd.Server
}

// start opens the sockets, which may need root, gives up privileges, connects to the servers and lets clients in.
func (s *service) start(ctx context.Context, p *daemon.Process) error {
	if err := s.certify(p); err != nil {
		return err
	}
	if err := s.ListenClients(ctx, s.opts.listen); err != nil {
		return err
	}
	err := s.ListenAdmins(ctx, "questions of status", s.opts.admin, func(at wire.Address, err error) error {
		return config.CannotListen("-admin", at, err)
	})
	if err != nil {
		return err
	}
	if err := p.DropPrivileges(); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	settled, cancel := context.WithTimeout(ctx, settleTimeout)
	if !s.proxy.Settle(settled) {
		s.log.Warn("no server answers yet: until one does, requests are answered DISCONNECTED")
	}
	cancel()
	s.Watch(daemon.GiveMemoryBack)
	s.ServeClients(s.server.Serve, false)
	s.ServeAdmins("questions of status", s.admin.Serve)
	if err := p.Ready(s.alive); err != nil {
		return err
	}
	s.log.Info("started")
	s.SayReady(s.ready)
	return nil
}

// certify reads the certificates and gives the addresses what they need.
func (s *service) certify(p *daemon.Process) error {
	o := s.opts
	if err := o.tls.Load(s.log); err != nil {
		return err
	}
	if o.tls.Given() {
		p.OnHangup(func() { o.tls.Reload(s.log) })
		s.Watch(o.tls.Watch)
	}
	o.tls.Connecting(o.servers)
	config.WarnPlain(s.log, "-server", o.servers)
	config.WarnPlain(s.log, "-listen", o.listen)
	return cmp.Or(
		o.tls.Listening("-listen", o.listen, true, tlsconf.Client, tlsconf.Node, tlsconf.Admin),
		o.tls.Listening("-admin", o.admin, false, tlsconf.Admin, tlsconf.Node, tlsconf.Monitor))
}

// open makes the proxy and its listeners.
func (s *service) open() (err error) {
	cfg := proxy.Config{Timeout: s.opts.timeout, Retry: s.opts.retry, Logger: s.log}
	for _, a := range s.opts.servers {
		cfg.Servers = append(cfg.Servers, proxy.At(a, s.opts.sockUser))
	}
	if s.proxy, err = proxy.New(cfg); err != nil {
		return err
	}
	reg := metrics.New()
	s.server, err = server.New(server.Config{
		Store:      s.proxy,
		Logger:     s.log,
		Observe:    metrics.NewLatency(reg).Observe,
		MinTimeout: s.opts.minTimeout,
		Limits: server.Limits{RequestTimeout: s.opts.timeout, IdleTimeout: s.opts.idle,
			MaxUntaken: s.process.Buffers(), MaxHeld: s.process.Buffers()},
	})
	if err != nil {
		return err
	}
	s.admin = s.newAdmin(reg)
	return nil
}

// stop ends everything: it lets no new clients in, waits until the requests under way are answered, and closes the
// connections to the servers. It may be called after a start that failed.
func (s *service) stop() error {
	s.CloseClients()
	if s.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), s.opts.timeout+drainTimeout)
		if err := s.server.Shutdown(ctx); err != nil {
			s.log.Warn("connections were cut off", "err", err)
		}
		cancel()
		s.server.Close()
	}
	if s.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
		_ = s.admin.Shutdown(ctx)
		cancel()
	}
	s.CloseAll()
	if s.proxy != nil {
		s.proxy.Close()
	}
	return nil
}
