// Command dc_snoop stands between distcache clients and a server, and prints their messages. It is package snoop with
// flags: flags.go has the settings, run.go the order of start and stop.
package main

import (
	"os"

	"github.com/distcache/distcache/internal/daemon"
)

// When the reader of the output quits (a pager, head), the output ends and the traffic goes on: package daemon ignores
// SIGPIPE.
func main() { os.Exit(daemon.Main(program, run)) }
