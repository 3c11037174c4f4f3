package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
)

// The bounds on each step of stopping. Together they stay well below the time after which service managers kill.
const (
	stepdownTimeout = 4 * time.Second
	drainTimeout    = 4 * time.Second
	adminTimeout    = 2 * time.Second
)

// run is dc_server from its arguments to its end, which comes when ctx is done or the store can't go on.
//
// The open file limit needs no raising to the hard limit: Go's runtime does that to every program.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stdout)
	if err != nil {
		return err
	}
	log := opts.logging.Logger(stderr)
	log.Info("starting", "version", config.Version(), "node", opts.node)
	back, err := openBackend(opts, log)
	if err != nil {
		return err
	}
	return serve(ctx, opts, back, log, stdout)
}

// serve runs the daemon over a backend that is open. It starts from the inside out: what can fail does so before the
// first client is accepted.
func serve(ctx context.Context, opts *options, back *backend, log *slog.Logger, stdout io.Writer) error {
	d := &daemon{log: log, back: back, failed: make(chan error, len(opts.listen)+len(opts.admin))}
	if err := d.listen(ctx, opts); err != nil {
		return errors.Join(err, d.stop())
	}
	d.start(opts, stdout)
	log.Info("ready")
	return errors.Join(d.wait(ctx), d.stop())
}

// A daemon is dc_server while it runs.
type daemon struct {
	log      *slog.Logger
	back     *backend
	server   *server.Server
	admin    *admin.Server
	clients  []net.Listener
	admins   []net.Listener
	failed   chan error // of a listener's Serve
	serving  bool
	stopping atomic.Bool
	end      context.CancelFunc // of the progress lines; nil without any
	wg       sync.WaitGroup
}

// listen opens all listeners and serves none.
func (d *daemon) listen(ctx context.Context, opts *options) error {
	var err error
	d.server, err = server.New(server.Config{
		Store:          d.back.store,
		Logger:         d.log,
		RequestTimeout: opts.timeout,
		MinTimeout:     opts.minTimeout,
	})
	if err != nil {
		return err
	}
	d.admin = admin.NewServer(d.back.node, d.log)
	for _, at := range opts.listen {
		l, err := at.Listen(ctx)
		if err != nil {
			return cannotListen("-listen", at, err)
		}
		d.clients = append(d.clients, l)
		d.log.Info("listening for clients", "address", l.Addr().String())
	}
	for _, at := range opts.admin {
		l, err := at.Listen(ctx)
		if err != nil {
			return cannotListen("-admin", at, err)
		}
		d.admins = append(d.admins, l)
		if path := at.Path(); path != "" { // whoever can connect can change the cluster
			if err := os.Chmod(path, 0o600); err != nil {
				return cannotListen("-admin", at, err)
			}
		}
		d.log.Info("listening for dc_admin", "address", l.Addr().String())
	}
	if opts.peer != "" {
		d.log.Info("listening for other nodes", "address", opts.peer, "advertised", opts.advertise)
	}
	return nil
}

func cannotListen(flag string, at wire.Address, err error) error {
	err = fmt.Errorf("%s %v: %w", flag, at, err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return config.Hint(err, "Another process listens there: stop it, or give another address.")
	case errors.Is(err, fs.ErrPermission):
		return config.Hint(err, "This user may not listen there.")
	}
	return err
}

// start sets going all that runs until stop.
func (d *daemon) start(opts *options, stdout io.Writer) {
	d.serving = true
	for _, l := range d.clients {
		d.wg.Go(func() { d.ended("clients", l, d.server.Serve(l)) })
	}
	for _, l := range d.admins {
		d.wg.Go(func() { d.ended("dc_admin", l, d.admin.Serve(l)) })
	}
	if opts.progress > 0 {
		ctx, cancel := context.WithCancel(context.Background())
		d.end = cancel
		d.wg.Go(func() {
			if err := d.server.ReportProgress(ctx, stdout, opts.progress); err != nil {
				d.log.Warn("no more progress lines", "error", err)
			}
		})
	}
}

func (d *daemon) ended(who string, l net.Listener, err error) {
	if err != nil && !d.stopping.Load() {
		d.failed <- fmt.Errorf("listener for %s on %v: %w", who, l.Addr(), err)
	}
}

// wait returns when there is a reason to stop: nil for one that was asked for.
func (d *daemon) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		d.log.Info("asked to stop")
		return nil
	case err := <-d.failed:
		return err
	case <-d.back.done:
	}
	err := d.back.err()
	if errors.Is(err, raftstore.ErrLeft) {
		d.log.Info("stopping", "reason", err)
		return nil
	}
	d.log.Error("cannot go on", "error", err)
	return err
}

// stop ends everything in the order that loses least:
//
//  1. No new connections: clients that come now go to another node at once.
//  2. Leadership goes to another node, while the requests of the connections that are open are still answered. The
//     other nodes so need not find out that this one is gone.
//  3. The requests that have arrived are answered, and the connections closed.
//  4. The admin listener closes; until here it could tell what is going on, and a "leave" gets its answer.
//  5. The store closes, when nobody calls it any more.
//
// Each step is bounded, and one that fails does not keep the next from happening.
func (d *daemon) stop() error {
	d.stopping.Store(true)
	for _, l := range d.clients {
		l.Close()
	}
	if d.serving && !d.storeEnded() {
		ctx, cancel := context.WithTimeout(context.Background(), stepdownTimeout)
		if err := d.back.stepdown(ctx); err != nil {
			d.log.Warn("stopping without handing leadership over", "error", err)
		}
		cancel()
	}
	if d.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		if err := d.server.Shutdown(ctx); err != nil {
			d.log.Warn("connections were cut off", "error", err)
		}
		cancel()
		d.server.Close()
	}
	if d.end != nil {
		d.end()
	}
	if d.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
		if err := d.admin.Shutdown(ctx); err != nil {
			d.log.Warn("admin listener", "error", err)
		}
		cancel()
	}
	for _, l := range d.admins {
		l.Close()
	}
	d.wg.Wait()
	if err := d.back.close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	d.log.Info("stopped")
	return nil
}

func (d *daemon) storeEnded() bool {
	select {
	case <-d.back.done:
		return true
	default:
		return false
	}
}
