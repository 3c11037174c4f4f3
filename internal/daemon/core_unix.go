//go:build unix

package daemon

import "golang.org/x/sys/unix"

// NoCoreDumps has a crash of this process leave no copy of its memory.
func NoCoreDumps() error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }
