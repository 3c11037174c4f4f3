// Command dc_admin manages a running dc_server: it shows the state of a node and its cluster, and changes who belongs
// to the cluster. It talks to the node's admin listener; see package internal/admin for the calls. run.go has the
// flags and the list of commands; each command has a file of its own.
package main

import (
	"os"

	"github.com/distcache/distcache/internal/config"
)

func main() { os.Exit(config.Main(program, run)) }
