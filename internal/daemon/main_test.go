package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
)

// asDaemon makes the test binary a small daemon: it listens where -listen says, tells each who connects its user and
// groups, and stops when it is told to.
const asDaemon = "DAEMON_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" || isRemover() {
		os.Exit(Main("testd", runTestDaemon))
	}
	os.Exit(m.Run())
}

func runTestDaemon(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set := config.New("testd", "usage: testd")
	var listen, private []wire.Address
	var dir string
	set.Group("Test")
	set.Addresses(&listen, "listen", "where to listen")
	set.Addresses(&private, "private", "where to listen for root and oneself")
	set.String(&dir, "dir", "DIR", "a directory", "a directory of its own")
	opts := Flags(set)
	if _, err := set.Parse(args, stdout); err != nil {
		return err
	}
	return opts.Run(ctx, "testd", stderr, func(ctx context.Context, p *Process) error {
		var open []net.Listener
		for _, at := range listen {
			l, err := p.Listen(ctx, at)
			if err != nil {
				return err
			}
			open = append(open, l)
		}
		for _, at := range private {
			l, err := p.ListenPrivate(ctx, at)
			if err != nil {
				return err
			}
			open = append(open, l)
		}
		if dir != "" {
			if err := p.OwnDirectory(dir); err != nil {
				return err
			}
		}
		if err := p.DropPrivileges(); err != nil {
			return err
		}
		if dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
				return err
			}
		}
		for _, l := range open {
			go func() {
				for {
					nc, err := l.Accept()
					if err != nil {
						return
					}
					io.WriteString(nc, strconv.Itoa(os.Getpid())+"\n")
					nc.Close()
				}
			}()
		}
		err := p.Ready(func(context.Context) error { return nil })
		if err != nil {
			return err
		}
		p.Log.Info("ready")
		<-ctx.Done()
		p.Stopping()
		for _, l := range open {
			l.Close()
		}
		return nil
	})
}

// testd prepares to start the small daemon in a directory.
func testd(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asDaemon+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// startTestd starts the small daemon in the foreground and waits until it answers.
func startTestd(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := testd(t, dir, append(args, "-listen", "UNIX:up.sock")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGKILL)
		<-ended
		if t.Failed() {
			t.Logf("standard error:\n%s", stderr.String())
		}
	})
	testutil.Eventually(t, "the daemon answers", func() bool {
		select {
		case <-ended:
			t.Fatalf("it ended with %v", cmd.ProcessState)
		default:
		}
		return pidOf(filepath.Join(dir, "up.sock")) == cmd.Process.Pid
	})
	return cmd
}

// detached runs the small daemon with -daemon and returns its process id; it is stopped at the test's end.
func detached(t *testing.T, dir string, args ...string) int {
	t.Helper()
	cmd := testd(t, dir, append(args, "-daemon", "-listen", "UNIX:up.sock")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	pid := pidOf(filepath.Join(dir, "up.sock")) // no waiting: it is up
	if pid == 0 {
		t.Fatal("the command has returned and the service does not answer")
	}
	t.Cleanup(func() {
		syscall.Kill(pid, syscall.SIGKILL)
		testutil.Ended(t, pid)
	})
	return pid
}

// killLater has the process that a pidfile names ended at the test's end.
func killLater(t *testing.T, pidFile string) {
	t.Helper()
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(pid, syscall.SIGKILL)
		testutil.Ended(t, pid)
	})
}

// flagsForTest is a tool with no flags but a daemon's.
func flagsForTest() (*config.Set, *Options) {
	set := config.New("testd", "")
	return set, Flags(set)
}

// pidOf asks the small daemon who it is, and is 0 when it does not answer.
func pidOf(socket string) int {
	nc, err := net.Dial("unix", socket)
	if err != nil {
		return 0
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Minute))
	b, _ := io.ReadAll(nc)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user: run this test as root to check -user, -sockowner and -sockgroup")
	}
}

func status(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}
