// Command dc_test checks servers of the distcache protocol, or with -bench measures them. It is package loadtest with
// flags: flags.go has the settings.
package main

import (
	"os"

	"github.com/distcache/distcache/internal/config"
)

func main() { os.Exit(config.Main(program, run)) }
