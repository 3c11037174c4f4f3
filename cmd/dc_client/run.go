package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/daemon"
	"github.com/distcache/distcache/internal/metrics"
	"github.com/distcache/distcache/proxy"
	"github.com/distcache/distcache/wire/server"
)

const (
	// settleTimeout is how long the start waits for a server. Without one dc_client starts too.
	settleTimeout = time.Second
	// drainTimeout is how much longer than a request may take the requests under way have when it stops.
	drainTimeout = time.Second
	adminTimeout = time.Second
)

// run is dc_client from its arguments to its end, which comes when ctx is done.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stdout)
	if err != nil {
		return err
	}
	return opts.daemon.Run(ctx, program, stderr, func(ctx context.Context, p *daemon.Process) error {
		s := &service{opts: opts, process: p, log: p.Log, failed: make(chan error, len(opts.listen)+len(opts.admin))}
		p.Log.Info("starting", "version", config.Version())
		err := s.start(ctx)
		if err == nil {
			err = s.wait(ctx)
		}
		return errors.Join(err, s.stop())
	})
}

// A service is dc_client while it runs.
type service struct {
	opts     *options
	process  *daemon.Process
	log      *slog.Logger
	proxy    *proxy.Proxy
	server   *server.Server
	admin    *adminServer
	clients  []net.Listener
	admins   []net.Listener
	failed   chan error // of a listener's Serve; nil when no more clients can come
	stopping atomic.Bool
	wg       sync.WaitGroup
}

// start opens the sockets, which may take root, gives up privileges, connects to the servers and lets clients in.
func (s *service) start(ctx context.Context) error {
	for _, at := range s.opts.listen {
		l, err := s.process.Listen(ctx, at)
		if err != nil {
			return config.CannotListen("-listen", at, err)
		}
		s.clients = append(s.clients, l)
		s.log.Info("listening for clients", "address", l.Addr().String())
	}
	for _, at := range s.opts.admin {
		l, err := s.process.ListenPrivate(ctx, at)
		if err != nil {
			return config.CannotListen("-admin", at, err)
		}
		s.admins = append(s.admins, l)
		s.log.Info("listening for questions of status", "address", l.Addr().String())
	}
	if err := s.process.DropPrivileges(); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	settled, cancel := context.WithTimeout(ctx, settleTimeout)
	if !s.proxy.Settle(settled) {
		s.log.Warn("no server is there yet: requests are answered DISCONNECTED until one is")
	}
	cancel()
	daemon.Serve(&s.wg, s.clients, s.server.Serve, func(l net.Listener, err error) { s.ended("clients", l, err) }, s.deserted)
	for _, l := range s.admins {
		s.wg.Go(func() { s.ended("questions of status", l, s.admin.serve(l)) })
	}
	if err := s.process.Ready(s.alive); err != nil {
		return err
	}
	s.log.Info("ready")
	return nil
}

// open makes the proxy and what serves it.
func (s *service) open() (err error) {
	cfg := proxy.Config{Timeout: s.opts.timeout, Retry: s.opts.retry, Logger: s.log}
	for _, a := range s.opts.servers {
		cfg.Servers = append(cfg.Servers, proxy.At(a))
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
		Limits:     server.Limits{RequestTimeout: s.opts.timeout, IdleTimeout: s.opts.idle},
	})
	if err != nil {
		return err
	}
	s.admin = newAdmin(s.proxy, s.log)
	s.observe(reg)
	return nil
}

func (s *service) ended(who string, l net.Listener, err error) {
	if err != nil && !s.stopping.Load() {
		s.failed <- fmt.Errorf("listener for %s on %v: %w", who, l.Addr(), err)
	}
}

// deserted stops the service when no more clients can come.
func (s *service) deserted() {
	if !s.stopping.Load() {
		s.log.Info("the clients that there were have gone, and no others can come")
		s.failed <- nil
	}
}

// wait returns when there is a reason to stop: nil for one that was asked for, or is no failure.
func (s *service) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		s.log.Info("asked to stop")
		return nil
	case err := <-s.failed:
		return err
	}
}

// stop ends everything: first no new clients come in, then those that have asked are answered, then the connections to
// the servers are closed. It is for a start that failed as well.
func (s *service) stop() error {
	s.stopping.Store(true)
	s.process.Stopping()
	for _, l := range s.clients {
		l.Close()
	}
	if s.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), s.opts.timeout+drainTimeout)
		if err := s.server.Shutdown(ctx); err != nil {
			s.log.Warn("connections were cut off", "err", err)
		}
		cancel()
		s.server.Close()
	}
	if s.admin != nil {
		s.admin.close()
	}
	for _, l := range s.admins {
		l.Close()
	}
	s.wg.Wait()
	if s.proxy != nil {
		s.proxy.Close()
	}
	return nil
}
