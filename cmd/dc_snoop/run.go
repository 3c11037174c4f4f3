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
	"syscall"

	"golang.org/x/term"

	"github.com/distcache/distcache/snoop"
	"github.com/distcache/distcache/wire"
)

// run is dc_snoop from its arguments to its end, which comes when ctx is done or a listener fails.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stdout)
	if err != nil {
		return err
	}
	log := opts.logging.Logger(stderr)
	cfg := opts.snoop
	cfg.Dial, cfg.Output, cfg.Logger, cfg.Colour = opts.server.Dial, stdout, log, colourful(stdout)
	snooper, err := snoop.New(cfg)
	if err != nil {
		return err
	}
	listeners, err := listen(ctx, opts.listen, log)
	if err != nil {
		return err
	}
	log.Info("ready", "server", opts.server.String())
	err = snooper.Run(ctx, listeners...)
	log.Info("stopped")
	return err
}

// listen opens all listeners, or none.
func listen(ctx context.Context, addresses []wire.Address, log *slog.Logger) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, at := range addresses {
		l, err := at.Listen(ctx)
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, cannotListen(at, err)
		}
		listeners = append(listeners, l)
		log.Info("listening for clients", "address", l.Addr().String())
	}
	return listeners, nil
}

func cannotListen(at wire.Address, err error) error {
	err = fmt.Errorf("-listen %v: %w", at, err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: stop what listens there, or give another address", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: this user may not listen there", err)
	}
	return err
}

// colourful tells whether colours are wanted where w goes.
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
