package config

import (
	"runtime"
	"runtime/debug"
)

// release is set by the linker: see VERSION in the Makefile.
var release string

// Release is the version of the running program: what it was built as, else the tag or commit that Go took it from, as
// with "go install", else devel.
func Release() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Version is the release, and what built it.
func Version() string {
	return Release() + " (" + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")"
}
