package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/testutil"
)

// mistakes are command lines that get exit status 2 and a sentence, before any node is asked.
func mistakes(t *testing.T, lines map[string]string) {
	t.Helper()
	t.Setenv("DC_ADMIN_CONNECT", "UNIX:"+filepath.Join(t.TempDir(), "nobody"))
	for line, want := range lines {
		err := run(t.Context(), strings.Fields(line), io.Discard, io.Discard)
		want = "dc_admin: " + want + "\n\"dc_admin -h\" explains its use.\n"
		if got := fails(t, err); got != want {
			t.Errorf("%q: got  %s\nwant %s", line, got, want)
		}
		if code := config.Exit(program, err, io.Discard); code != 2 {
			t.Errorf("%q: exit status %d", line, code)
		}
	}
}

func TestMistakes(t *testing.T) {
	const all = "status, members, check, join, grant, leave, remove, transfer, compact, convert-log, certs, seal-key"
	mistakes(t, map[string]string{
		"":                      "a command is needed, one of " + all,
		"-json":                 "a command is needed, one of " + all,
		"stat":                  `there is no command "stat": give one of ` + all,
		"status -connect IP:9":  `-connect: address "IP:9": it names no host to connect to; it is for listening`,
		"help stat":             `there is no command "stat": give one of ` + all,
		"status now":            `status takes no operands, but was given "now"`,
		"members all":           `members takes no operands, but was given "all"`,
		"status -colour":        "unknown flag -colour",
		"leave -force":          "-force goes with remove and certs only",
		"leave -discard":        "-discard goes with join only",
		"join a:1 -to wal":      "-to goes with convert-log only",
		"status -timeout never": `-timeout takes a duration above 0 such as 2s or 500ms, not "never"`,
	})
}

// What the environment has for one command does not keep others from working.
func TestEnvironmentOfAnotherCommand(t *testing.T) {
	t.Setenv("DC_ADMIN_DATA", "/var/lib/distcache")
	t.Setenv("DC_ADMIN_TO", "wal")
	t.Setenv("DC_ADMIN_DISCARD", "true")
	serve(t, &fakeNode{status: aFollower})
	says(t, "status")
}

func TestHelp(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "")
	testutil.Golden(t, "help.golden", helps(t, "-h"))
	for _, cmd := range commands() {
		name := cmd.name
		got := helps(t, name, "-h")
		testutil.Golden(t, "help-"+name+".golden", got)
		for _, args := range [][]string{{"-?", name, "word"}, {"help", name}, {"help", name, "-json"}} {
			if again := helps(t, args...); again != got {
				t.Errorf("%q gives other help than -h after %s", args, name)
			}
		}
	}
	if helps(t, "help") != helps(t, "-h") {
		t.Error("help gives other help than -h")
	}
}

func TestUnknownVariable(t *testing.T) {
	t.Setenv("DC_ADMIN_CONECT", "UNIX:/x")
	serve(t, &fakeNode{status: aFollower})
	var notes bytes.Buffer
	if err := run(t.Context(), []string{"status"}, io.Discard, &notes); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(notes.String(), "DC_ADMIN_CONECT") {
		t.Errorf("said %q", &notes)
	}
}

func helps(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), args, &out, io.Discard); !errors.Is(err, config.ErrDone) {
		t.Errorf("%q: %v", args, err)
	}
	return out.String()
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("STATE_DIRECTORY", dir)
	err := run(t.Context(), []string{"status"}, io.Discard, io.Discard)
	got := strings.ReplaceAll(fails(t, err), dir, "/var/lib/distcache")
	testutil.Golden(t, "unreachable.golden", got)
	if code := config.Exit(program, err, io.Discard); code != 1 {
		t.Errorf("exit status %d", code)
	}
}

// listener takes connections and does with each what it is told.
func listener(t *testing.T, serve func(net.Conn)) {
	t.Helper()
	l := testutil.Listen(t, "unix")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
		}
	}()
	t.Setenv("DC_ADMIN_CONNECT", testutil.At(t, l).String())
}

func TestNoAdminListener(t *testing.T) {
	listener(t, func(c net.Conn) { c.Close() })
	got := fails(t, run(t.Context(), []string{"status"}, io.Discard, io.Discard))
	if !strings.Contains(got, "not answered by an admin listener") || !strings.Contains(got,
		"-connect takes the -admin address of a dc_server") {
		t.Errorf("got %s", got)
	}
}

// A node that is stopped or killed under a change is no reason to look for another address only.
func TestNodeEndsBeforeItAnswers(t *testing.T) {
	listener(t, func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		c.Close()
	})
	got := fails(t, run(t.Context(), []string{"compact"}, io.Discard, io.Discard))
	if !strings.Contains(got, "dc_server ended before it answered") {
		t.Errorf("got %s", got)
	}
	listener(t, func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "SSH-2.0-none\r\n")
		c.Close()
	})
	if got := fails(t, run(t.Context(), []string{"compact"}, io.Discard, io.Discard)); strings.Contains(got, "ended") {
		t.Errorf("with another service there: %s", got)
	}
}

// dc_client's admin listener has a status too, which is another.
func TestStatusOfAnother(t *testing.T) {
	listener(t, func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"servers\":[]}")
		c.Close()
	})
	got := fails(t, run(t.Context(), []string{"status"}, io.Discard, io.Discard))
	if !strings.Contains(got, "not answered by an admin listener of dc_server") ||
		!strings.Contains(got, "nor an address of dc_client") {
		t.Errorf("got %s", got)
	}
}

// Pointed at dc_client, every command says that.
func TestAdminOfDcClient(t *testing.T) {
	listener(t, func(c net.Conn) {
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body) // a connection that is closed with something unread is reset
		}
		switch {
		case err != nil:
		case r.URL.Path == "/v1/status":
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 14\r\n\r\n{\"servers\":[]}")
		default:
			_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlost")
		}
	})
	for _, args := range []string{"status", "members", "join a:1", "leave", "remove n1", "transfer", "compact"} {
		got := fails(t, run(t.Context(), strings.Fields(args), io.Discard, io.Discard))
		if !strings.Contains(got, "not answered by an admin listener of dc_server: dc_client is there") ||
			!strings.Contains(got, "nor an address of dc_client") {
			t.Errorf("%q: got %s", args, got)
		}
	}
	if out, status := checked(t); status != 1 || !strings.HasSuffix(out, ": dc_client is there\n") {
		t.Errorf("check: exit status %d, got %s", status, out)
	}
}

func TestNoAnswer(t *testing.T) {
	held := make(chan net.Conn, 10)
	listener(t, func(c net.Conn) { held <- c })
	got := fails(t, run(t.Context(), []string{"leave", "-timeout", "20ms"}, io.Discard, io.Discard))
	if !strings.Contains(got, "no answer within 20ms\nThe change may still take place") {
		t.Errorf("got %s", got)
	}
	(<-held).Close()
	got = fails(t, run(t.Context(), []string{"status", "-timeout", "20ms"}, io.Discard, io.Discard))
	if !strings.HasSuffix(got, "no answer within 20ms\n") {
		t.Errorf("got %s", got)
	}
	(<-held).Close()
}

// The node goes on with what its operator no longer waits for, and whoever asks for more is refused meanwhile.
func TestCompactInterrupted(t *testing.T) {
	for name, args := range map[string][]string{"interrupted": {"compact"},
		"no answer within 20ms": {"compact", "-timeout", "20ms"}} {
		ctx, cancel := context.WithCancel(t.Context())
		held := make(chan net.Conn, 10)
		listener(t, func(c net.Conn) {
			held <- c
			if name == "interrupted" {
				cancel()
			}
		})
		got := fails(t, run(ctx, args, io.Discard, io.Discard))
		if !strings.Contains(got, name+"\nThe node goes on compacting: \"dc_admin status\" says so until it is done.") {
			t.Errorf("%q: got %s", args, got)
		}
		(<-held).Close()
		cancel()
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan net.Conn, 10)
	listener(t, func(c net.Conn) {
		held <- c
		cancel()
	})
	want := "dc_admin: interrupted\nThe change may still take place: \"dc_admin members\" shows " +
		"whether it did.\n"
	if got := fails(t, run(ctx, []string{"leave"}, io.Discard, io.Discard)); got != want {
		t.Errorf("got %s", got)
	}
	(<-held).Close()
}
