package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/tlsconf"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// listen opens all listeners and serves none.
func (s *service) listen(ctx context.Context) error {
	if err := s.certify(); err != nil {
		return err
	}
	s.opts.buffers = s.process.Buffers()
	if !s.opts.memory {
		if err := s.opts.checkPlace(ctx); err != nil {
			return err
		}
	}
	if err := s.ListenClients(ctx, s.opts.listen); err != nil {
		return err
	}
	if !s.opts.memory {
		if err := s.process.OwnDirectory(s.opts.data); err != nil {
			return explainData(fmt.Errorf("data directory: %w", err))
		}
	}
	// Whoever can connect to these can change the cluster.
	return s.ListenAdmins(ctx, "dc_admin", s.opts.admin, s.cannotAdmin)
}

// certify reads the certificates and gives the addresses what they need.
func (s *service) certify() error {
	o := s.opts
	if err := o.tls.Load(s.log); err != nil {
		return err
	}
	if o.tls.Given() && o.peer != "" {
		if err := (tlsconf.Nodes{Source: o.tls.Source()}).Check(o.node); err != nil {
			return config.Hint(err, "-node and the name in the certificate are the same: \"dc_admin certs new DIR node %s HOST\" makes one.", o.node)
		}
	}
	config.WarnPlain(s.log, "-listen", o.listen)
	return cmp.Or(
		o.tls.Listening("-listen", o.listen, true, tlsconf.Client, tlsconf.Node, tlsconf.Admin),
		o.tls.Listening("-admin", o.admin, false, tlsconf.Admin, tlsconf.Node, tlsconf.Monitor))
}

// hosts are the hosts in this node's addresses.
func (o *options) hosts() (names []string) {
	for _, a := range o.admin {
		names = append(names, a.Host())
	}
	if host, _, err := net.SplitHostPort(o.advertise); err == nil {
		names = append(names, host)
	}
	return names
}

// checkPlace checks the data directory and the peer address before any file is made. Files left by a failed start
// would be in the way of the next start with corrected flags.
func (o *options) checkPlace(ctx context.Context) error {
	var known []os.FileInfo
	for _, path := range append(o.daemon.Files(), "/dev/stdout", "/dev/stderr") {
		if info, err := os.Stat(path); err == nil {
			known = append(known, info)
		}
	}
	if err := raftstore.CheckDir(o.data, known...); err != nil {
		if errors.Is(err, raftstore.ErrForeign) {
			return config.Hint(err, "-data takes a directory for this node alone: one that is empty, or not there yet.")
		}
		return explainData(err)
	}
	host, _, err := net.SplitHostPort(o.peer)
	if err != nil || host == "" {
		return nil // raftstore.Open reports what is wrong with the address
	}
	if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
		return fmt.Errorf("-peer %s: %w", o.peer, err)
	}
	return nil
}

// cannotAdmin is config.CannotListen for an admin address. If the socket in the data directory is in use, so is the
// directory; if this user may not make the socket, the user may not use the directory either. So these errors speak
// of the directory.
func (s *service) cannotAdmin(at wire.Address, err error) error {
	if !s.opts.memory && at.Path() != "" && filepath.Dir(filepath.Clean(at.Path())) == filepath.Clean(s.opts.data) {
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("%w: %s", raftstore.ErrInUse, s.opts.data)
		case errors.Is(err, os.ErrPermission):
			return explainData(fmt.Errorf("data directory: %s: %w", s.opts.data, os.ErrPermission))
		}
	}
	return config.CannotListen("-admin", at, err)
}

// turnAway closes all connections that arrive until stop is called. It is for the time before the store is open:
// clients then go on without a session, or ask another node, and don't wait.
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
