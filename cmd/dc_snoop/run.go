package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/distcache/distcache/internal/daemon"
	"github.com/distcache/distcache/snoop"
)

// run is dc_snoop from its arguments to its end, which comes when ctx is done or a listener fails.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stdout)
	if err != nil {
		return err
	}
	return opts.daemon.Run(ctx, program, stderr, func(ctx context.Context, p *daemon.Process) error {
		return pass(ctx, opts, p, stdout)
	})
}

// pass opens the sockets and the output, which may take root, gives up privileges, and passes traffic on.
func pass(ctx context.Context, opts *options, p *daemon.Process, stdout io.Writer) error {
	cfg := opts.snoop
	cfg.Dial, cfg.Output, cfg.Logger, cfg.Colour = opts.server[0].Dial, stdout, p.Log, colourful(stdout)
	if opts.output != "" {
		// What is shown may be secret.
		f, err := p.Append(opts.output, 0o600)
		if err != nil {
			return fmt.Errorf("-output: %w", err)
		}
		defer f.Close()
		cfg.Output, cfg.Colour = f, false
	} else if p.Detached() {
		p.Log.Warn("traffic is passed on and not shown, as there is no standard output in the background: -output PATH shows it")
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

// alive has nothing to ask: what would hang is the clients' connections, each for itself.
func alive(context.Context) error { return nil }

// colourful tells whether colours are wanted where w goes.
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
