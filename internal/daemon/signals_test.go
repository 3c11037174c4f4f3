package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/testutil"
)

func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		sig   syscall.Signal
		stops bool
	}{
		{"TERM", nil, syscall.SIGTERM, true},
		{"INT", nil, syscall.SIGINT, true},
		{"USR1 killable", []string{"-killable"}, syscall.SIGUSR1, true},
		{"USR2 killable", []string{"-killable"}, syscall.SIGUSR2, true},
		{"HUP in the foreground", nil, syscall.SIGHUP, true},
		{"USR1", nil, syscall.SIGUSR1, false},
		{"USR2", nil, syscall.SIGUSR2, false},
		{"PIPE", []string{"-killable"}, syscall.SIGPIPE, false},
		{"HUP with a log file", []string{"-log-file", "log"}, syscall.SIGHUP, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := testutil.ShortDir(t)
			cmd := startTestd(t, dir, append(c.args, "-pidfile", "run.pid")...)
			cmd.Process.Signal(c.sig)
			if !c.stops {
				// Signals of one process are delivered in order of their numbers, not of time: the next is sent
				// when this one has been taken.
				testutil.Eventually(t, "the signal was taken", func() bool {
					return strings.Trim(strings.Join(processStatus(t, cmd.Process.Pid)["ShdPnd"], ""), "0") == ""
				})
				if pidOf(filepath.Join(dir, "up.sock")) != cmd.Process.Pid {
					t.Fatal("it does not answer any more")
				}
				cmd.Process.Signal(syscall.SIGTERM)
			}
			testutil.Ended(t, cmd.Process.Pid)
			if _, err := os.Lstat(filepath.Join(dir, "run.pid")); !os.IsNotExist(err) {
				t.Errorf("it did not stop cleanly: %v", err)
			}
		})
	}
}

func TestLogFileIsOpenedAnew(t *testing.T) {
	dir := testutil.ShortDir(t)
	log := filepath.Join(dir, "log")
	pid := detached(t, dir, "-log-file", "log")
	testutil.Eventually(t, "it says that it is ready", func() bool { // it may be up before that
		b, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(b), "msg=ready")
	})
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGHUP)
	testutil.Eventually(t, "there is a new log file", func() bool { _, err := os.Stat(log); return err == nil })
	syscall.Kill(pid, syscall.SIGTERM)
	testutil.Ended(t, pid)
	before, _ := os.ReadFile(log + ".1")
	after, _ := os.ReadFile(log)
	if !strings.Contains(string(before), "msg=ready") || strings.Contains(string(before), "msg=stopped") {
		t.Errorf("the old file holds %q", before)
	}
	if !strings.Contains(string(after), "msg=stopped") {
		t.Errorf("the new file holds %q", after)
	}
}

type fakeSyslog struct{ bytes.Buffer }

func (f *fakeSyslog) Debug(s string) error   { f.WriteString("debug: " + s); return nil }
func (f *fakeSyslog) Info(s string) error    { f.WriteString("info: " + s); return nil }
func (f *fakeSyslog) Warning(s string) error { f.WriteString("warning: " + s); return nil }
func (f *fakeSyslog) Err(s string) error     { f.WriteString("err: " + s); return nil }

func TestSyslogHasTheLevelsAndNoTime(t *testing.T) {
	var f fakeSyslog
	set := config.New("testd", "")
	logging := set.Logging()
	if _, err := set.Parse([]string{"-log-level", "debug"}, nil); err != nil {
		t.Fatal(err)
	}
	log := newSyslogger(&f, logging).With("node", "n1").WithGroup("g")
	log.Debug("a", "k", 1)
	log.Info("b")
	log.Warn("c")
	log.Log(t.Context(), slog.LevelError+4, "d")
	want := "debug: level=DEBUG msg=a node=n1 g.k=1\n" +
		"info: level=INFO msg=b node=n1\n" +
		"warning: level=WARN msg=c node=n1\n" +
		"err: level=ERROR+4 msg=d node=n1\n"
	if f.String() != want {
		t.Errorf("syslog was told\n%s, want\n%s", f.String(), want)
	}
}

// A signal that comes again at once, as from timeout(1), which sends it to the process and to its group, does not end
// the process before it has stopped.
func TestSignalSentTwice(t *testing.T) {
	for range 10 {
		dir := testutil.ShortDir(t)
		cmd := startTestd(t, dir, "-pidfile", "run.pid")
		for range 200 {
			cmd.Process.Signal(syscall.SIGINT)
		}
		testutil.Ended(t, cmd.Process.Pid)
		if _, err := os.Lstat(filepath.Join(dir, "run.pid")); !os.IsNotExist(err) {
			t.Fatalf("it did not stop cleanly: %v", err)
		}
	}
}
