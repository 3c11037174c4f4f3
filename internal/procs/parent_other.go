//go:build !linux

package procs

import "syscall"

// dieWithParent has no effect here: other systems than Linux leave the servers running when this process is killed.
func dieWithParent() *syscall.SysProcAttr { return nil }
