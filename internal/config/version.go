package config

import (
	"runtime"
	"runtime/debug"
)

// release is set by the linker: see VERSION in the Makefile.
var release string

// Release is the version of the running program: the linker's, else the tag or commit that Go recorded (as "go install"
// does), else devel.
func Release() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Version is the release and the Go version that built it.
func Version() string {
	return Release() + " (" + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")"
}
