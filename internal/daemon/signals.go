package daemon

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// reopenPatience is how long the end of the process waits for a log file that is being opened, on a disk that hangs.
const reopenPatience = time.Second

// signals handles the signals that Main does not handle. The context stopped ends with ctx, or at a signal that stops
// the daemon. done ends the handling.
func (o *Options) signals(ctx context.Context, p *Process) (stopped context.Context, done func()) {
	stopped, stop := context.WithCancel(ctx)
	watched := []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE}
	reopens := p.detached || o.logFile != ""
	if reopens || !signal.Ignored(syscall.SIGHUP) { // under nohup SIGHUP is ignored
		watched = append(watched, syscall.SIGHUP)
	}
	ch := make(chan os.Signal, 8)
	signal.Notify(ch, watched...)
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			case s := <-ch:
				reload := p.reload.Load()
				if s == syscall.SIGHUP && reload != nil {
					(*reload)()
				}
				switch {
				case s == syscall.SIGHUP && reopens:
					p.reopenLog()
				case s == syscall.SIGHUP && reload != nil:
				case s == syscall.SIGHUP, s != syscall.SIGPIPE && o.killable:
					p.Log.Info("stopping", "signal", s.String())
					stop()
				}
			}
		}
	}()
	return stopped, func() {
		signal.Stop(ch)
		close(quit)
		select {
		case <-ended:
		case <-time.After(reopenPatience):
		}
		stop()
	}
}

func (p *Process) reopenLog() {
	if err := p.output.reopen(); err != nil {
		p.Log.Warn("the log file was not opened anew: the log goes on in the old one", "error", err)
		return
	}
	if p.detached {
		if err := p.output.crashes(); err != nil {
			p.Log.Warn("a crash would not be logged", "error", err)
		}
	}
}
