package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/daemon"
	"github.com/distcache/distcache/internal/metrics"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire/server"
)

// The bounds on each step of stopping. Together they stay well below the time after which service managers kill a
// process.
const (
	stepdownTimeout = 4 * time.Second
	drainTimeout    = 4 * time.Second
	adminTimeout    = 2 * time.Second
	// hungTimeout is for all steps together, when the disk has failed.
	hungTimeout = 3 * time.Second
)

// run runs dc_server until ctx is done or the store can't go on. Go's runtime has raised the open file limit already.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stdout)
	if err != nil {
		return forGood(err)
	}
	err = opts.daemon.Run(ctx, program, stderr, func(ctx context.Context, p *daemon.Process) error {
		p.Log.Info("starting", "version", config.Version(), "node", opts.node)
		return serve(ctx, opts, p, openBackend, stdout)
	})
	return forGood(err)
}

// statusForGood is the exit status of a node whose data directory needs an operator: a restart would not help. The
// units in docs/systemd tell systemd not to try.
const statusForGood = 3

func forGood(err error) error {
	for _, end := range []error{raftstore.ErrRemoved, raftstore.ErrLeft, raftstore.ErrForeign} {
		if errors.Is(err, end) {
			return &config.StatusError{Err: err, Status: statusForGood}
		}
	}
	return err
}

// An opener opens a backend.
type opener func(*options, *slog.Logger) (*backend, error)

// serve runs the service from its sockets to its end.
func serve(ctx context.Context, opts *options, p *daemon.Process, open opener, stdout io.Writer) error {
	s := &service{Service: daemon.NewService(p), opts: opts, process: p, log: p.Log}
	err := s.start(ctx, open, stdout)
	if err == nil {
		err = s.wait(ctx)
	}
	if errors.Is(err, raftstore.ErrDisk) {
		return errors.Join(err, s.abandon())
	}
	return errors.Join(err, s.stop())
}

// A service is dc_server while it runs.
type service struct {
	*daemon.Service
	opts     *options
	process  *daemon.Process
	log      *slog.Logger
	back     *backend // nil until it is open
	server   *server.Server
	admin    *admin.Server
	serving  bool
	progress *reporter // nil without -progress
}

// start opens the sockets, which may need root, gives up privileges, opens the store, whose files must belong to the
// user, and lets clients in.
func (s *service) start(ctx context.Context, open opener, stdout io.Writer) error {
	if err := s.listen(ctx); err != nil {
		return err
	}
	if s.opts.seal != "" && !s.opts.coreDumps {
		if err := daemon.NoCoreDumps(); err != nil {
			s.log.Warn("core dumps, which would have keys in them, can't be turned off", "error", err)
		}
	}
	if err := s.process.DropPrivileges(); err != nil {
		return err
	}
	var letIn []func()
	for _, l := range s.Listeners() {
		letIn = append(letIn, turnAway(l))
	}
	err := s.open(open)
	for _, f := range letIn {
		f()
	}
	if err != nil {
		return err
	}
	s.serve(stdout)
	if err := s.process.Ready(s.alive); err != nil {
		return err
	}
	s.log.Info("started")
	s.SayReady(s.ready)
	return nil
}

// open opens the store and makes its servers.
func (s *service) open(open opener) (err error) {
	if s.back, err = open(s.opts, s.log); err != nil {
		return err
	}
	if s.opts.tls.Given() || s.opts.seal != "" {
		s.process.OnHangup(s.reload)
	}
	if s.opts.peer != "" {
		s.log.Info("listening for other nodes", "address", s.opts.peer, "advertised", s.opts.advertise)
	}
	reg := metrics.New()
	s.server, err = server.New(server.Config{
		Store:      s.back.store,
		Logger:     s.log,
		Observe:    metrics.NewLatency(reg).Observe,
		MinTimeout: s.opts.minTimeout,
		Limits: server.Limits{RequestTimeout: s.opts.timeout, MaxUntaken: s.process.Buffers(),
			MaxHeld: s.process.Buffers()},
	})
	if err != nil {
		return err
	}
	s.admin = admin.NewServer(s.back.node, s.log)
	s.admin.Names(s.opts.hosts()...)
	s.observe(reg)
	return nil
}

// reload reads the certificates and the seal key again.
func (s *service) reload() {
	s.opts.tls.Reload(s.log)
	if s.back.reload == nil {
		return
	}
	if err := s.back.reload(); err != nil {
		s.log.Warn("the seal key can't be read again; the keys before stay in use", "error", err)
	}
}

// serve starts everything that runs until stop.
func (s *service) serve(stdout io.Writer) {
	s.serving = true
	s.Watch(s.opts.tls.Watch)
	s.Watch(daemon.GiveMemoryBack)
	s.Watch(func(ctx context.Context) { watchEvictions(ctx, s.back.dropped, s.opts.sessions, s.log) })
	s.ServeClients(s.server.Serve, s.opts.peer != "") // other nodes may need this one
	s.ServeAdmins("dc_admin", s.admin.Serve)
	if s.opts.progress > 0 {
		s.progress = report(s.server, stdout, s.opts.progress, s.log)
	}
}

// wait returns when there is a reason to stop. The error is nil for a signal and for a node that has left its cluster.
func (s *service) wait(ctx context.Context) error {
	if err := s.Wait(ctx, s.back.done); err != nil || !s.storeEnded() {
		return err
	}
	err := s.back.err()
	if errors.Is(err, raftstore.ErrLeft) {
		s.log.Info("stopping", "reason", err)
		return nil
	}
	s.log.Error("cannot go on", "error", err)
	return err
}

// stop ends everything in the order that loses least:
//
//  1. Close the clients' listeners: new clients go to another node at once.
//  2. Hand leadership to another node, while requests on open connections are still answered. The cluster then does
//     not have to notice that its leader is gone.
//  3. Answer the requests that have arrived, and close the connections.
//  4. Close the admin listener. Until here it answers, so that "leave" gets its answer.
//  5. Close the store, which nobody calls any more.
//
// Each step is bounded. If a step fails, the next one is still taken.
func (s *service) stop() error {
	s.CloseClients()
	if s.serving && !s.storeEnded() {
		ctx, cancel := context.WithTimeout(context.Background(), stepdownTimeout)
		if err := s.back.stepdown(ctx); err != nil {
			s.log.Warn("stopping without handing leadership over", "error", err)
		}
		cancel()
	}
	if s.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		if err := s.server.Shutdown(ctx); err != nil {
			s.log.Warn("connections were cut off", "error", err)
		}
		cancel()
		s.server.Close()
	}
	s.progress.stop()
	if s.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
		if err := s.admin.Shutdown(ctx); err != nil {
			s.log.Warn("admin listener", "error", err)
		}
		cancel()
	}
	s.CloseAll()
	if s.back != nil {
		if err := s.back.close(); err != nil {
			return fmt.Errorf("closing the store: %w", err)
		}
	}
	return nil
}

// abandon stops without waiting for a disk that may hang, so that the node can be started again soon. The files are
// left as after a crash.
func (s *service) abandon() error {
	s.process.Stopping()
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	select {
	case err := <-stopped:
		return err
	case <-time.After(hungTimeout):
		return fmt.Errorf("the files were not closed within %v", hungTimeout)
	}
}

func (s *service) storeEnded() bool {
	select {
	case <-s.back.done:
		return true
	default:
		return false
	}
}
