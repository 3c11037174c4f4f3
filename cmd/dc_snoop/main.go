// Command dc_snoop stands between distcache clients and a server, and tells what they say to each other. It is package
// snoop with flags: flags.go is what it can be told, run.go how it starts and stops.
package main

import (
	"os"

	"github.com/distcache/distcache/internal/daemon"
)

// A reader that quits (a pager, head) must not take the clients' connections with it: the daemon's signals see to that,
// the lines end, and the traffic goes on.
func main() { os.Exit(daemon.Main(program, run)) }
