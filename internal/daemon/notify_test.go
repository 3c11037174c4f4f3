package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/internal/testutil"
)

// systemd is the socket that notices go to.
func systemd(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	path := filepath.Join(testutil.ShortDir(t), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(time.Minute))
	return c, path
}

func notice(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSystemdHearsOfEverything(t *testing.T) {
	c, path := systemd(t)
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "200000")
	cmd := startTestd(t, testutil.ShortDir(t))
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := notice(t, c); got != want {
			t.Fatalf("systemd was told %q, want %q", got, want)
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	got := notice(t, c)
	for got == "WATCHDOG=1" {
		got = notice(t, c)
	}
	if got != "STOPPING=1" {
		t.Errorf("systemd was told %q", got)
	}
}

func TestWatchdogIsNotToldOfAServiceThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int64
		var fails, hangs atomic.Bool
		release := make(chan struct{})
		alive := func(context.Context) error {
			if hangs.Load() {
				<-release
			}
			if fails.Load() {
				return errors.New("stuck")
			}
			return nil
		}
		w := startWatchdog(slog.New(slog.DiscardHandler), 4*time.Second, alive, func(string) { told.Add(1) })
		in := func(d time.Duration) int64 {
			before := told.Load()
			time.Sleep(d)
			synctest.Wait()
			return told.Load() - before
		}
		if n := in(10*time.Second + time.Millisecond); n != 10 {
			t.Errorf("told %d times in 10 s of a service that is well", n)
		}
		fails.Store(true)
		if n := in(10 * time.Second); n != 0 {
			t.Errorf("told %d times of one that fails", n)
		}
		fails.Store(false)
		hangs.Store(true)
		if n := in(10 * time.Second); n != 0 {
			t.Errorf("told %d times of one that hangs", n)
		}
		hangs.Store(false)
		close(release)
		if n := in(10 * time.Second); n < 9 {
			t.Errorf("told %d times of one that has recovered", n)
		}
		w.close()
	})
}
