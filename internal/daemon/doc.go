// Package daemon is what the long-running tools have in common besides their work: they detach (-daemon), leave a
// process id (-pidfile), give up privileges (-user), set who may connect to their unix sockets, stop on signals, tell
// systemd how they are, and log where a daemon does.
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
//		p.Ready(alive)                   // it serves: whoever waits may go on
//		<-ctx.Done()                     // asked to stop
//		p.Stopping()
//		...
//	})
//
// # Detaching
//
// A Go program can't fork, so with -daemon the program starts itself again, in a session of its own, with the same
// arguments, directory and descriptors, and waits for it on a pipe. [Process.Ready] writes to the pipe, and the caller's
// process ends with status 0; a second process that ends before that has told why on the standard error it was given,
// and the first ends with the same status. The directory is not changed, so relative paths go on meaning what they meant.
package daemon
