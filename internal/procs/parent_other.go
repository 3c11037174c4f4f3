//go:build !linux

package procs

import "syscall"

// dieWithParent does nothing on systems other than Linux: when this process is killed, the servers stay.
func dieWithParent() *syscall.SysProcAttr { return nil }
