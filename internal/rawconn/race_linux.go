//go:build race

package rawconn

import "syscall"

// For the race detector, what was done before a write has happened before what is done after a read: package syscall
// tells it so. These calls, which transfer nothing, have it do so for ours.

func hasRead(fd uintptr) { _, _ = syscall.Read(int(fd), nil) }

func willWrite() { _, _ = syscall.Write(-1, nil) }
