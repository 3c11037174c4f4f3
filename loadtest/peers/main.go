package main

import (
	"os"

	"github.com/distcache/distcache/internal/config"
)

func main() { os.Exit(config.Main(program, run)) }
