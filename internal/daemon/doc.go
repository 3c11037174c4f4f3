// Package daemon has what the long-running tools have in common: they detach (-daemon), write a process id (-pidfile),
// give up privileges (-user), set who may connect to their unix sockets, stop on signals, report to systemd, and log to
// standard error, a file or syslog.
//
// A tool's main is
//
//	func main() { os.Exit(daemon.Main(program, run)) }
//
// and its run adds the flags of [Flags] to its own, and does its work inside [Options.Run]:
//
//	return opts.daemon.Run(ctx, program, stderr, func(ctx context.Context, p *daemon.Process) error {
//		l, err := p.Listen(ctx, address) // everything that may need root
//		...
//		if err := p.DropPrivileges(); err != nil { ... }
//		...                              // everything that must belong to the user: files
//		p.Ready(alive)                   // it serves: tell systemd and the caller
//		<-ctx.Done()                     // a signal says stop
//		p.Stopping()
//		...
//	})
//
// # Detaching
//
// A Go program can't fork. So with -daemon the program starts itself again, in a session of its own, with the same
// arguments, directory and descriptors, and waits on a pipe for the second process. [Process.Ready] writes to the pipe,
// and the first process exits with status 0. If the second process ends before that, it has reported why on standard
// error, and the first process exits with the same status. The directory is not changed, so relative paths stay valid.
package daemon
