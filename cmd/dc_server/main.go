// Command dc_server keeps TLS sessions for distcache clients: on disk, replicated to the other nodes of its cluster, or
// with -memory in memory only. It is the listener of package wire/server over the store of package raftstore. flags.go
// has the settings, run.go the order of start and stop.
package main

import (
	"os"

	"github.com/distcache/distcache/internal/daemon"
)

func main() { os.Exit(daemon.Main(program, run)) }
