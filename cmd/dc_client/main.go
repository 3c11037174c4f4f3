// Command dc_client is the local proxy: applications connect to its unix socket, often for a single request, and
// dc_client passes their requests to a dc_server over one permanent connection. It is the listener of package
// wire/server over the store of package proxy. flags.go has the settings, run.go the order of start and stop.
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

// processors is how many of the machine's processors to use. A proxy does so little for a request that waking another
// processor costs more than it saves. And the machine is there for the web server.
func processors(all int) int { return max(1, min(all/4, 4)) }
