// Command dc_admin looks after a running dc_server: it shows how a node and its cluster are, and changes who belongs
// to the cluster. It talks to the node's admin listener; see package internal/admin for the calls.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(exit(err, os.Stderr))
}
