//go:build !linux

package procs

import "syscall"

// dieWithParent is for Linux: elsewhere, servers outlive this process if it is killed.
func dieWithParent() *syscall.SysProcAttr { return nil }
