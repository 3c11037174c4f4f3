// Command dc_client is the local proxy: applications connect to its unix socket, often for a single request, and it
// asks a dc_server for them over one connection that it keeps. It is the listener of package wire/server over the store of
// package proxy; flags.go is what it can be told, run.go the order in which it starts and stops.
package main

import (
	"os"
	"runtime"

	"github.com/distcache/distcache/internal/daemon"
)

func main() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(processors(runtime.GOMAXPROCS(0)))
	}
	os.Exit(daemon.Main(program, run))
}

// processors is how many of a machine's to use. What a proxy does for a request is so little that waking another
// processor for a part of it costs more than it saves, and the machine is there for the web server.
func processors(all int) int { return max(1, min(all/4, 4)) }
