package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/metrics"
	"github.com/distcache/distcache/internal/metrics/node"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire/store"
)

// A backend is the store behind the listener, with what the daemon needs besides.
type backend struct {
	store    store.Store
	node     admin.Node
	done     <-chan struct{}             // closed when the store can't go on; nil if that can't happen
	err      func() error                // why done is closed
	stepdown func(context.Context) error // hands leadership to another node
	close    func() error
	reload   func() error                // reads the seal key again; nil without one
	register func(prometheus.Registerer) // registers the store's metrics
	dropped  func() (expired, evicted uint64)
}

func openBackend(opts *options, log *slog.Logger) (*backend, error) {
	if opts.memory {
		log.Info("sessions are kept in memory only", "limit", opts.sessions)
		return openMemory(opts), nil
	}
	log.Info("sessions are kept on disk", "data", opts.data, "limit", opts.sessions)
	return openDurable(opts, log)
}

func openMemory(opts *options) *backend {
	store := store.NewMemory(int(opts.sessions))
	return &backend{
		store: store,
		node: admin.Memory{Name: opts.node, Limit: opts.sessions, Sessions: store.Len,
			Version: config.Release(), Started: time.Now()},
		stepdown: func(context.Context) error { return nil },
		close:    store.Close,
		register: func(reg prometheus.Registerer) { metrics.AddSessions(reg, store, opts.sessions) },
		dropped:  store.Dropped,
	}
}

// hinting is a store whose errors tell dc_admin's user what to do about them.
type hinting struct{ *raftstore.Store }

func (h hinting) Join(ctx context.Context, peers []string, discard bool) error {
	err := h.Store.Join(ctx, peers, discard)
	switch {
	case errors.Is(err, raftstore.ErrOwnSessions):
		return config.Hint(err, "-discard says that they may go.")
	case errors.Is(err, raftstore.ErrNoPeerPort):
		return config.Hint(err, "Start it with -peer HOST:PORT.")
	}
	return err
}

func openDurable(opts *options, log *slog.Logger) (*backend, error) {
	if info, err := os.Stat(opts.data); err == nil && info.Mode().Perm()&0o077 != 0 {
		log.Warn("the data directory holds secrets, and not only its owner has access: it should have mode 700",
			"data", opts.data, "mode", fmt.Sprintf("%o", info.Mode().Perm()))
	}
	cfg := opts.store()
	cfg.Logger = log
	store, err := raftstore.Open(cfg)
	var network *net.OpError
	switch {
	case errors.As(err, &network) && network.Op == "listen":
		return nil, config.ExplainListen(fmt.Errorf("-peer: %w", err), "")
	case errors.Is(err, os.ErrPermission):
		return nil, explainData(err)
	case err != nil:
		return nil, opts.explain(err)
	}
	return &backend{
		store:    store,
		node:     hinting{store},
		done:     store.Done(),
		err:      store.Err,
		stepdown: store.Stepdown,
		close:    store.Close,
		reload:   store.ReloadSeal,
		register: func(reg prometheus.Registerer) {
			metrics.AddSessions(reg, store, opts.sessions)
			node.Add(reg, store)
		},
		dropped: store.Dropped,
	}, nil
}

// explainData adds advice to an error about a data directory that this user can't use.
func explainData(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return config.Hint(err, "This user must be able to write to the data directory, -data.")
	}
	return err
}
