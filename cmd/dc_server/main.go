// Command dc_server keeps TLS sessions for distcache clients: on disk, replicated to the other nodes of its cluster, or
// with -memory in memory only. It is the listener of package wire/server over the store of package raftstore; flags.go
// is what it can be told, run.go the order in which it starts and stops.
package main

import (
	"os"

	"github.com/distcache/distcache/internal/daemon"
)

func main() { os.Exit(daemon.Main(program, run)) }
