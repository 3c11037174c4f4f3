// Command dc_server keeps TLS sessions for distcache clients: on disk, replicated to the other nodes of its cluster, or
// with -memory in memory only. It is the listener of package wire/server over the store of package raftstore; flags.go
// is what it can be told, run.go the order in which it starts and stops.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/distcache/distcache/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal finds nobody listening, and ends the process at once
	os.Exit(config.Exit(program, run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr))
}
