// Command dc_admin looks after a running dc_server: it shows how a node and its cluster are, and changes who belongs
// to the cluster. It talks to the node's admin listener; see package internal/admin for the calls.
package main

import (
	"os"

	"github.com/distcache/distcache/internal/config"
)

func main() { os.Exit(config.Main(program, run)) }
