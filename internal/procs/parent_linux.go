package procs

import "syscall"

// dieWithParent makes the kernel kill the process when this process ends. The kernel in fact watches the thread that
// started the process; the Go runtime's threads live as long as this process.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
