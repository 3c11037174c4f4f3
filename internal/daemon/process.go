package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/wire"
)

// sameSignal is the time within which a repeated signal counts as the same one: a person does not ask twice so quickly.
const sameSignal = 100 * time.Millisecond

// Main is a daemon's main function. It calls run with a context that ends at SIGINT or SIGTERM, prints the error on
// standard error, and returns the exit status. A second signal ends the process at once, unless it comes within
// sameSignal: timeout(1) sends its signal twice, to the process and to its group.
func Main(program string, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) int {
	if isRemover() {
		return runRemover()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, stop) })
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	var told exitStatus
	if errors.As(err, &told) {
		return int(told)
	}
	return config.Exit(program, err, new(backlog).to(os.Stderr)) // standard error may be stuck
}

// A Process is the running daemon. Its methods are called in the order Listen, DropPrivileges, Ready, Stopping, by one
// goroutine.
type Process struct {
	Log *slog.Logger

	options  *Options
	account  *account // the user to become; nil: none
	access   access   // of clients' sockets
	output   output   // where the log goes
	apart    bool     // the log does not go to standard error, where Main prints errors
	caller   *os.File // the pipe on which the caller waits; nil unless detached
	detached bool
	pid      *pidFile
	sockets  []string // paths of the sockets that this process made
	shared   string   // one of sockets that is for clients
	remover  *remover
	watchdog *watchdog
	stopping bool
	reload   atomic.Pointer[func()] // what SIGHUP does besides

	// Memory is the limit on this process's memory in bytes, 0 if there is none.
	Memory int64
}

// OnHangup has SIGHUP call f, and not stop the process.
func (p *Process) OnHangup(f func()) { p.reload.Store(&f) }

// Run runs service as a daemon: with -daemon it detaches first; it opens the log, writes the process id, and ends
// service's context at the signals below. In a process that only starts another one in the background, service is not
// called. The error is service's, or names the flag that failed.
//
//	SIGTERM, SIGINT    stop (Main sees to these)
//	SIGUSR1, SIGUSR2   stop with -killable, else nothing
//	SIGHUP             open the log file anew, and read certificates again; in the foreground without either: stop, as
//	                   the terminal has gone
//	SIGPIPE            nothing
func (o *Options) Run(ctx context.Context, program string, stderr io.Writer, service func(context.Context, *Process) error) (err error) {
	p := &Process{options: o}
	if p.account, err = o.resolveUser(); err != nil {
		return err
	}
	if p.access, err = o.clientAccess(); err != nil {
		return err
	}
	if p.caller, err = callersPipe(); err != nil {
		return err
	}
	p.detached = p.caller != nil
	if o.detach && !p.detached {
		return startDetached(ctx)
	}
	if p.output, err = o.openLog(program, stderr, p.account); err != nil {
		return err
	}
	defer p.output.Close()
	p.Log, p.apart = p.output.logger(), p.detached || o.logFile != ""
	if o.pidFile != "" {
		if p.pid, err = takePIDFile(o.pidFile); err != nil {
			return err
		}
	}
	for _, name := range o.set.UnknownVariables() {
		p.Log.Warn("a variable in the environment is named like a setting, and there is none of that name", "variable", name)
	}
	p.Memory = o.limitMemory()
	ctx, done := o.signals(ctx, p)
	defer done()
	err = service(ctx, p)
	p.finish(err)
	return err
}

// Detached tells whether this process is in the background: it has no standard output after Ready.
func (p *Process) Detached() bool { return p.detached }

// Listen listens for clients. The flags say who owns a unix socket, and its permissions.
func (p *Process) Listen(ctx context.Context, at wire.Address) (net.Listener, error) {
	l, err := p.listen(ctx, at, p.access)
	if err == nil && at.Path() != "" {
		p.shared = at.Path()
	}
	return l, err
}

// ListenPrivate listens; if at is a unix socket, only root and the user of this process can connect.
func (p *Process) ListenPrivate(ctx context.Context, at wire.Address) (net.Listener, error) {
	own := fs.FileMode(0o600)
	a := access{uid: -1, gid: -1, perms: &own}
	if p.account != nil && os.Geteuid() == 0 {
		a.uid, a.gid = p.account.uid, p.account.gid
	}
	return p.listen(ctx, at, a)
}

func (p *Process) listen(ctx context.Context, at wire.Address, a access) (net.Listener, error) {
	l, err := a.listen(ctx, at)
	if err == nil && at.Path() != "" {
		p.sockets = append(p.sockets, at.Path())
	}
	return l, err
}

// OwnDirectory makes a directory with mode 0700 for the user that this process runs as after DropPrivileges. It leaves
// an existing directory as it is.
func (p *Process) OwnDirectory(path string) error {
	if p.account == nil || os.Geteuid() != 0 {
		return os.MkdirAll(path, 0o700)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(path)), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return os.Lchown(path, p.account.uid, p.account.gid)
}

// DropPrivileges becomes the user that -user names. A small process that stays root, the remover, will remove the files
// that only root can remove.
func (p *Process) DropPrivileges() error {
	if p.account == nil || os.Geteuid() != 0 {
		return nil
	}
	if paths := p.leftToRoot(); len(paths) > 0 {
		r, err := startRemover(paths)
		if err != nil {
			return fmt.Errorf("-user: start the process that removes %s: %w", paths[0], err)
		}
		p.remover = r
	}
	if err := p.account.become(); err != nil {
		return err
	}
	p.Log.Info("running as another user", "user", p.account.name, "uid", p.account.uid, "gid", p.account.gid, "groups", p.account.groups)
	return nil
}

// leftToRoot returns the files that the user can't remove.
func (p *Process) leftToRoot() []string {
	if p.account.uid == 0 {
		return nil
	}
	paths := p.sockets
	if p.pid != nil {
		paths = append(paths[:len(paths):len(paths)], p.pid.path)
	}
	var left []string
	for _, path := range paths {
		dir, err := os.Stat(filepath.Dir(path))
		if err != nil || !owns(p.account.uid, dir) {
			left = append(left, path)
		}
	}
	return left
}

// owns tells whether a directory is the user's: then the user can remove the files in it.
func owns(uid int, dir fs.FileInfo) bool {
	st, ok := dir.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == uid && dir.Mode().Perm()&0o300 == 0o300
}

// Stopping tells systemd that the service ends, and has the remover remove the sockets that the user can't remove. It
// must be called before the listeners are closed: until then the sockets can't be another process's.
func (p *Process) Stopping() {
	if p.stopping {
		return
	}
	p.stopping = true
	p.notify("STOPPING=1")
	for _, path := range p.sockets {
		p.remover.remove(path)
	}
}

// finish undoes what Run and Ready did.
func (p *Process) finish(err error) {
	p.Stopping()
	switch {
	case err == nil:
		p.Log.Info("stopped")
	case p.apart: // perhaps nobody reads standard error
		p.Log.Error("stopped", "error", err)
	}
	p.watchdog.close()
	if p.pid != nil && !p.remover.remove(p.pid.path) {
		if err := p.pid.remove(); err != nil {
			p.Log.Warn("the -pidfile was not removed", "error", err)
		}
	}
	p.remover.close()
}
