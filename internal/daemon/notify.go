package daemon

import (
	"context"
	"log/slog"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/distcache/distcache/internal/health"
)

// Ready tells systemd, and the process that started this one with -daemon, that the service is up. From then on it
// feeds systemd's watchdog, if there is one, while alive returns nil.
func (p *Process) Ready(alive health.Check) error {
	p.advise()
	p.notify(sd.SdNotifyReady)
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		p.Log.Warn("systemd's watchdog", "error", err)
	}
	if interval > 0 {
		p.watchdog = startWatchdog(p.Log, interval, alive, p.notify)
	}
	return p.detach()
}

func (p *Process) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		p.Log.Warn("systemd was not notified", "state", state, "error", err)
	}
}

// A watchdog feeds systemd's watchdog while the service is alive.
type watchdog struct {
	stop context.CancelFunc
	done chan struct{}
}

func startWatchdog(log *slog.Logger, interval time.Duration, alive health.Check, notify func(string)) *watchdog {
	ctx, stop := context.WithCancel(context.Background())
	w := &watchdog{stop, make(chan struct{})}
	pause := interval / 4
	alive = health.Shared(alive, pause)
	go func() {
		defer close(w.done)
		t := time.NewTicker(pause)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			if err := alive(ctx); err != nil && ctx.Err() == nil {
				log.Error("the service is stuck; systemd's watchdog is not told that it is alive", "error", err)
				continue
			}
			notify(sd.SdNotifyWatchdog)
		}
	}()
	return w
}

func (w *watchdog) close() {
	if w != nil {
		w.stop()
		<-w.done
	}
}
