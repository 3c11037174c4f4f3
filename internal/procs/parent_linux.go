package procs

import "syscall"

// dieWithParent makes the kernel kill the process when this process ends. In fact the kernel does so when the thread
// that started the process ends, but threads of the Go runtime live as long as this process.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
