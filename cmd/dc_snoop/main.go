// Command dc_snoop stands between distcache clients and a server, and tells what they say to each other. It is package
// snoop with flags: flags.go is what it can be told, run.go how it starts and stops.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/distcache/distcache/internal/config"
)

func main() {
	// A reader that quits (a pager, head) must not take the clients' connections with it: the lines end, and the
	// traffic goes on.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal finds nobody listening, and ends the process at once
	os.Exit(config.Exit(program, run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr))
}
