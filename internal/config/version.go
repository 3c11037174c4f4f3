package config

import (
	"runtime"
	"runtime/debug"
)

// Version is the version of the running program, which Go takes from the tag or commit it was built from, and what
// built it.
func Version() string {
	version := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		version = info.Main.Version
	}
	return version + " (" + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")"
}
