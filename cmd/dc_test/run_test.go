package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/loadtest"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// serve runs a server on a unix socket until the test ends.
func serve(t *testing.T, store store.Store) (address string) {
	t.Helper()
	s, err := server.New(server.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	l := testutil.Listen(t, "unix")
	testutil.Serve(t, l, s)
	return testutil.At(t, l).String()
}

// call runs dc_test and returns what came of it.
func call(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	err := run(ctx, args, &out, &errs)
	return config.Exit(program, err, &errs), out.String(), errs.String()
}

func memory(t *testing.T) *store.Memory {
	m := store.NewMemory(0)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestCheck(t *testing.T) {
	address := serve(t, memory(t))
	for _, more := range []string{"", "-persistent -workers 3 -progress 100"} {
		status, out, errs := call(t.Context(), append(strings.Fields(more), "-connect", address, "-ops", "500")...)
		if status != 0 || !strings.Contains(out, "500 operations in") || !strings.HasSuffix(out, "every answer was right\n") {
			t.Errorf("%q: status %d\n%s%s", more, status, out, errs)
		}
		if n := strings.Count(out, " operations, "); more != "" && n != 5 {
			t.Errorf("%d lines of progress, want 5\n%s", n, out)
		}
	}
	status, out, _ := call(t.Context(), "-connect", address, "-sessions", "5")
	if status != 0 || !strings.Contains(out, "250 operations in") {
		t.Errorf("the default number of operations: status %d\n%s", status, out)
	}
}

// forgetful loses what it is told to keep.
type forgetful struct{ *store.Memory }

func (forgetful) Add(context.Context, []byte, []byte, time.Duration) error { return nil }

func TestWrongServer(t *testing.T) {
	status, _, errs := call(t.Context(), "-connect", serve(t, forgetful{memory(t)}))
	if status != 1 || !strings.Contains(errs, "wrong answer at operation") || !strings.Contains(errs, "expected:") {
		t.Errorf("status %d\n%s", status, errs)
	}
}

func TestBench(t *testing.T) {
	address := serve(t, memory(t))
	status, out, errs := call(t.Context(), "-bench", "-connect", address+","+address, "-workers", "2", "-pipeline", "3",
		"-duration", "150ms", "-sessions", "20", "-size", "10-100")
	if status != 0 || !strings.Contains(out, "no errors") || !strings.Contains(out, "p99.9") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	if errs != "preloading 20 sessions\n" {
		t.Errorf("on stderr, which is no terminal: %q", errs)
	}
	status, out, _ = call(t.Context(), "-bench", "-connect", address, "-duration", "150ms", "-mix", "add=1", "-json")
	var r loadtest.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 || r.Total.Good == 0 || len(r.Series) == 0 ||
		r.Persistent {
		t.Errorf("status %d, %v\n%s", status, err, out)
	}
}

// noting notes the longest and the shortest timeout that it is asked for.
type noting struct {
	*store.Memory
	mu                sync.Mutex
	longest, shortest time.Duration
}

func (n *noting) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	n.mu.Lock()
	n.longest = max(n.longest, timeout)
	if n.shortest == 0 || timeout < n.shortest {
		n.shortest = timeout
	}
	n.mu.Unlock()
	return n.Memory.Add(ctx, id, data, timeout)
}

// A timeout that is asked for is that of the preloaded sessions too; unless one is, these outlive the benchmark.
func TestBenchTimeout(t *testing.T) {
	for _, try := range []struct {
		args              []string
		shortest, longest time.Duration
	}{
		{[]string{"-timeout", "2"}, 2 * time.Second, 2 * time.Second},
		{[]string{"-timeout", "86400"}, 24 * time.Hour, 24 * time.Hour},
		{[]string{"-timeout", "0", "-mix", "get=1"}, time.Millisecond, time.Millisecond},
		{nil, benchTimeout, benchTimeout + 150*time.Millisecond},
	} {
		n := &noting{Memory: memory(t)}
		args := []string{"-bench", "-connect", serve(t, n), "-duration", "150ms", "-sessions", "20"}
		status, out, errs := call(t.Context(), append(args, try.args...)...)
		n.mu.Lock() // of a request that was under way at the end
		if n.shortest != try.shortest || n.longest != try.longest {
			t.Errorf("%q: timeouts from %v to %v, want %v to %v (status %d)\n%s%s",
				try.args, n.shortest, n.longest, try.shortest, try.longest, status, out, errs)
		}
		n.mu.Unlock()
	}
}

func TestBenchWithoutServer(t *testing.T) {
	status, out, errs := call(t.Context(), "-bench", "-connect", "UNIX:/nobody/listens", "-duration", "50ms", "-mix",
		"add=1")
	if status != 1 || !strings.Contains(errs, "connect to UNIX:/nobody/listens") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

// A report is there when the load is over, whole, readable by all, and alone.
func TestReport(t *testing.T) {
	address, dir := serve(t, memory(t)), t.TempDir()
	path := filepath.Join(dir, "report.html")
	if err := os.WriteFile(path, []byte("an old one"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	status, out, errs := call(t.Context(), "-bench", "-connect", address, "-duration", "150ms", "-mix", "add=1", "-report",
		link)
	if status != 0 || !strings.Contains(out, "no errors") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	page, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(page, []byte("<!DOCTYPE html>")) || !bytes.HasSuffix(page, []byte("</html>\n")) {
		t.Errorf("%v: %d bytes", err, len(page))
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link has become %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644&^umask() {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%d files in the directory, %v", len(files), err)
	}
}

func umask() os.FileMode {
	mask := syscall.Umask(0)
	syscall.Umask(mask)
	return os.FileMode(mask)
}

// That a report can't be written is known before there is any load.
func TestReportThatCannotBeWritten(t *testing.T) {
	m := memory(t)
	address, dir := serve(t, m), t.TempDir()
	for path, says := range map[string]string{
		"/nobody/is/here.html":         "a file can't be made in /nobody/is: no such file or directory",
		dir:                            "not a regular file",
		"/dev/null":                    "not a regular file",
		filepath.Join("/dev/null/x"):   "not a directory",
		filepath.Join(dir, "\x00.htm"): "invalid argument",
	} {
		status, out, errs := call(t.Context(), "-bench", "-connect", address, "-duration", "1h", "-mix", "add=1", "-report",
			path)
		if status != 1 || out != "" || !strings.HasPrefix(errs, "dc_test: -report: ") || !strings.Contains(errs, says) {
			t.Errorf("%q: status %d, want %q\n%s%s", path, status, says, out, errs)
		}
	}
	if m.Len() > 0 {
		t.Errorf("%d sessions were added", m.Len())
	}
}

// What was measured until then is not lost.
func TestInterruptedBench(t *testing.T) {
	m := memory(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	path := filepath.Join(t.TempDir(), "report.html")
	address := serve(t, interrupting{m, cancel})
	status, out, errs := call(ctx, "-bench", "-connect", address, "-duration", "1h", "-mix", "add=1", "-report", path)
	if _, err := os.Stat(path); err != nil || status != 130 || !strings.Contains(out, "no errors") ||
		errs != "dc_test: interrupted\n" {
		t.Errorf("status %d, %v\n%s%s", status, err, out, errs)
	}
}

// interrupting calls a function when it has some sessions.
type interrupting struct {
	*store.Memory
	enough func()
}

func (i interrupting) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	if i.Len() >= 100 { // several may come at once
		i.enough()
	}
	return i.Memory.Add(ctx, id, data, timeout)
}

// A server that keeps sessions longer than it was asked to is told about with what may be the reason.
func TestRaisedTimeouts(t *testing.T) {
	address := serve(t, keeping{memory(t)})
	status, _, errs := call(t.Context(), "-connect", address, "-timeout", "0", "-timevar", "0", "-sessions", "3000",
		"-ops", "10000000", "-persistent")
	if status != 1 || !strings.Contains(errs, "-mintimeout") {
		t.Errorf("status %d\n%s", status, errs)
	}
	status, out, errs := call(t.Context(), "-connect", address, "-timeout", "0", "-timevar", "0", "-ops", "1000",
		"-mintimeout", "3600000")
	if status != 0 {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

// keeping raises timeouts to an hour.
type keeping struct{ *store.Memory }

func (k keeping) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	return k.Memory.Add(ctx, id, data, max(timeout, time.Hour))
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	status, _, errs := call(ctx, "-connect", serve(t, memory(t)))
	if status != 130 || errs != "dc_test: interrupted\n" {
		t.Errorf("status %d\n%s", status, errs)
	}
}

func TestUsage(t *testing.T) {
	for _, flag := range []string{"-h", "-help", "-?"} {
		status, out, errs := call(t.Context(), flag)
		if status != 0 || !strings.HasPrefix(out, "usage: dc_test -connect ADDR") || errs != "" {
			t.Errorf("%s: status %d\n%s%s", flag, status, out, errs)
		}
	}
}

// A mistake names the flag, and what it takes.
func TestMistakes(t *testing.T) {
	for args, says := range map[string]string{
		"":                                     "-connect takes an address",
		"-connect x":                           "-connect takes an address",
		"-connect IP:9001":                     "it names no host to connect to; it is for listening",
		"-sessions x":                          "-sessions takes a whole number",
		"-sessions 0":                          "-sessions takes a whole number from 1 to 100000000",
		"-workers 0":                           "-workers takes a whole number from 1 to 10000",
		"-datamin 0":                           "-datamin takes a whole number from 1 to 32728",
		"-datamax 49":                          "-datamax takes a number not below -datamin, which is 50, not 49",
		"-datamax 32729":                       "-datamax takes a whole number from 1 to 32728",
		"-timeout 604801":                      "-timeout takes a number of seconds from 0 to 604800",
		"-timeout 1s":                          "-timeout takes a number of seconds",
		"-timeout 604800":                      "-timeout and -timevar together take at most 604800 seconds",
		"-mix add=1":                           "-mix goes with -bench only",
		"-report x":                            "-report goes with -bench only",
		"-mintimeout -1":                       "-mintimeout takes a number of milliseconds",
		"-bench -mintimeout 1":                 "-mintimeout is for checking",
		"-bench -ops 1":                        "-ops is for checking",
		"-bench -mix get=1,x=2":                "-mix takes operations with their weights",
		"-bench -size 9-8":                     "-size takes a number of bytes",
		"-bench -size 0":                       "-size takes a number of bytes",
		"-bench -pipeline 0":                   "-pipeline takes a whole number from 1 to ",
		"-bench -duration 0s":                  "-duration takes a duration above 0",
		"-bench -mix remove=1":                 "remove may not be above add",
		"-nosuch":                              "unknown flag -nosuch",
		"-connect FD:3":                        "-connect FD:3 is one connection, which can't be opened again",
		"-connect FD:3 -persistent -workers 2": "-connect FD:3 is one connection",
		"-connect FD:3 -persistent -bench":     "-connect FD:3 is one connection",
		"-connect FD:3 operand ":               `unexpected argument "operand"`,
	} {
		fields := strings.Fields(args)
		if !strings.Contains(args, "-connect") && args != "" {
			fields = append(fields, "-connect", "UNIX:/nobody/listens")
		}
		status, _, errs := call(t.Context(), fields...)
		if status != 2 || !strings.Contains(errs, says) {
			t.Errorf("%q: status %d, want 2 and %q\n%s", args, status, says, errs)
		}
	}
}

// What the environment has for checking does not keep -bench from working, nor the other way about.
func TestEnvironmentOfTheOtherMode(t *testing.T) {
	t.Setenv("DC_TEST_CONNECT", "UNIX:/nobody/listens")
	t.Setenv("DC_TEST_OPS", "1")
	t.Setenv("DC_TEST_MIX", "add=1")
	for _, args := range [][]string{nil, {"-bench"}} {
		if status, _, errs := call(t.Context(), args...); status != 1 || !strings.HasPrefix(errs, "dc_test: connect to ") {
			t.Errorf("%q: status %d\n%s", args, status, errs)
		}
	}
}

func TestUnreachableServer(t *testing.T) {
	for _, more := range []string{"-persistent", "-persistent=false", "-bench"} {
		status, _, errs := call(t.Context(), "-connect", "UNIX:/nobody/listens", more)
		if status != 1 || !strings.HasPrefix(errs, "dc_test: connect to UNIX:/nobody/listens: ") {
			t.Errorf("%s: status %d\n%s", more, status, errs)
		}
	}
}
