package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// listen opens all listeners and serves none.
func (s *service) listen(ctx context.Context) error {
	for _, at := range s.opts.listen {
		l, err := s.process.Listen(ctx, at)
		if err != nil {
			return config.CannotListen("-listen", at, err)
		}
		s.clients = append(s.clients, l)
		s.log.Info("listening for clients", "address", l.Addr().String())
	}
	if !s.opts.memory {
		if err := s.process.OwnDirectory(s.opts.data); err != nil {
			return explainData(fmt.Errorf("data directory: %w", err))
		}
	}
	for _, at := range s.opts.admin {
		// Whoever can connect can change the cluster.
		l, err := s.process.ListenPrivate(ctx, at)
		if err != nil {
			return s.cannotAdmin(at, err)
		}
		s.admins = append(s.admins, l)
		s.log.Info("listening for dc_admin", "address", l.Addr().String())
	}
	return nil
}

// cannotAdmin is config.CannotListen for an admin address. The socket in the data directory belongs to another process
// when it is in use, and with it the directory.
func (s *service) cannotAdmin(at wire.Address, err error) error {
	if !s.opts.memory && filepath.Dir(at.Path()) == filepath.Clean(s.opts.data) && errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: %s", raftstore.ErrInUse, s.opts.data)
	}
	return config.CannotListen("-admin", at, err)
}

// turnAway closes the connections that come before the store is open, until stop is called: their clients go on
// without, or ask another node, rather than wait.
func turnAway(l net.Listener) (stop func()) {
	d, ok := l.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return func() {
		_ = d.SetDeadline(time.Unix(1, 0))
		<-done
		_ = d.SetDeadline(time.Time{})
	}
}
