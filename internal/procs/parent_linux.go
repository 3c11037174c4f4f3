package procs

import "syscall"

// dieWithParent has the kernel kill the process when this one is gone. The kernel goes by the thread that started it; the
// Go runtime's threads live as long as the process.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
