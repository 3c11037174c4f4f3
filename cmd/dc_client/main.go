// Command dc_client is the local proxy: applications connect to its unix socket, often for a single request, and it
// asks a dc_server for them over one connection that it keeps. It is the listener of package wire/server over the store of
// package proxy; flags.go is what it can be told, run.go the order in which it starts and stops.
package main

import (
	"os"

	"github.com/distcache/distcache/internal/daemon"
)

func main() { os.Exit(daemon.Main(program, run)) }
