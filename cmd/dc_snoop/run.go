package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/distcache/distcache/internal/daemon"
	"github.com/distcache/distcache/internal/tlsconf"
	"github.com/distcache/distcache/snoop"
)

// run runs dc_snoop until ctx is done or a listener fails.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stdout)
	if err != nil {
		return err
	}
	return opts.daemon.Run(ctx, program, stderr, func(ctx context.Context, p *daemon.Process) error {
		return pass(ctx, opts, p, stdout)
	})
}

// pass opens the output and the sockets, which may need root, gives up privileges, and passes traffic on.
func pass(ctx context.Context, opts *options, p *daemon.Process, stdout io.Writer) error {
	if err := opts.tls.Load(p.Log); err != nil {
		return err
	}
	if err := opts.tls.Listening("-listen", opts.listen, true, tlsconf.Client, tlsconf.Node, tlsconf.Admin); err != nil {
		return err
	}
	opts.tls.Connecting(opts.server)
	cfg := opts.snoop
	cfg.Dial, cfg.Output, cfg.Logger, cfg.Colour = opts.server[0].Dial, stdout, p.Log, colourful(stdout)
	if opts.output != "" {
		// 0600, since the output may contain secrets.
		f, err := p.Append(opts.output, 0o600)
		if err != nil {
			return fmt.Errorf("-output: %w", err)
		}
		defer f.Close()
		cfg.Output, cfg.Colour = f, false
	} else if p.Detached() {
		p.Log.Warn("traffic is passed on but not shown: a process in the background has no standard output; use -output PATH")
	}
	snooper, err := snoop.New(cfg)
	if err != nil {
		return err
	}
	sockets := daemon.NewService(p)
	defer sockets.CloseAll()
	if err := sockets.ListenClients(ctx, opts.listen); err != nil {
		return err
	}
	if err := p.DropPrivileges(); err != nil {
		return err
	}
	if err := p.Ready(alive); err != nil {
		return err
	}
	p.Log.Info("ready", "server", opts.server[0].String())
	sockets.Watch(opts.tls.Watch)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- snooper.Run(running, sockets.Listeners()...) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		p.Stopping()
		stop()
		err = <-ended
	}
	return err
}

// alive is always nil: clients' connections share nothing that could hang.
func alive(context.Context) error { return nil }

// colourful tells whether w is a terminal that should get colours.
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
