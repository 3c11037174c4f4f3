package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/daemon"
	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// A process is a dc_server that runs in this one.
type process struct {
	*testutil.Daemon
	t               *testing.T
	clients, admins []string // where it listens
}

// start runs dc_server until it says that it has started.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return started(t, func(ctx context.Context, stdout, stderr io.Writer) error {
		return run(ctx, append(args, "-log-format", "json"), stdout, stderr)
	})
}

func started(t *testing.T, run func(ctx context.Context, stdout, stderr io.Writer) error) *process {
	t.Helper()
	d := testutil.Start(t, run)
	return &process{d, t, d.Logged["listening for clients"], d.Logged["listening for dc_admin"]}
}

// dial connects to where it listens for clients first.
func (p *process) dial() net.Conn {
	p.t.Helper()
	network := "tcp"
	if strings.Contains(p.clients[0], "/") {
		network = "unix"
	}
	c, err := net.Dial(network, p.clients[0])
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	return c
}

func wantAnswer(t *testing.T, c net.Conn, op wire.Op, payload []byte, want string) {
	t.Helper()
	if got, err := testutil.Exchange(c, op, payload); err != nil || string(got) != want {
		t.Errorf("answer is %q, %v; want %q", got, err, want)
	}
}

func TestMemoryServer(t *testing.T) {
	at := testcluster.FreeAddress(t) // where nobody else comes to listen
	p := start(t, "-memory", "-listen", "IP:"+at, "-listen", "UNIX:"+filepath.Join(t.TempDir(), "sock"), "-progress", "2")
	if len(p.clients) != 2 || len(p.admins) != 0 {
		t.Fatalf("listens on %q and %q", p.clients, p.admins)
	}
	c := p.dial()
	wantAnswer(t, c, wire.OpAdd, wire.AppendAdd(nil, []byte("id"), []byte("data"), wire.MaxTimeout), "\x00")
	wantAnswer(t, c, wire.OpGet, []byte("id"), "data")
	testutil.Eventually(t, "a line of progress", func() bool { return strings.Contains(p.Out.String(), "sessions 1") })
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", p.clients[0]); err == nil {
		t.Error("it still listens")
	}
}

func TestDurableServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"-listen", "IP:127.0.0.1:0", "-data", dir, "-node", "n1", "-timeout", long}
	p := start(t, args...)
	wantAnswer(t, p.dial(), wire.OpAdd, wire.AppendAdd(nil, []byte("id"), []byte("data"), wire.MaxTimeout), "\x00")
	socket := filepath.Join(dir, "admin.sock")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the admin socket is %v, %v", info, err)
	}
	status, err := adminOf(t, socket).Status(t.Context())
	if err != nil || status.Node != "n1" || status.Sessions != 1 {
		t.Errorf("status is %+v, %v", status, err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the admin socket is left: %v", err)
	}
	p = start(t, args...)
	wantAnswer(t, p.dial(), wire.OpGet, []byte("id"), "data")

	wantFailure(t, refuses(t, args...), 1, "data directory is in use by another process")
}

func adminOf(t *testing.T, socket string) *admin.Client {
	client := admin.NewClient(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	})
	t.Cleanup(client.Close)
	return client
}

// refuses runs a dc_server that must not start, and returns its error.
func refuses(t *testing.T, args ...string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // in case it does start
	defer cancel()
	return run(ctx, args, io.Discard, io.Discard)
}

func wantFailure(t *testing.T, err error, code int, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) || config.Exit(program, err, io.Discard) != code {
		t.Errorf("got %v, want exit status %d with %q", err, code, part)
	}
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := "IP:" + l.Addr().String()
	for _, args := range [][]string{
		{"-memory", "-listen", at},
		{"-memory", "-listen", "IP:127.0.0.1:0", "-admin", at},
		{"-data", t.TempDir(), "-node", "n1", "-listen", at},
		{"-data", t.TempDir(), "-node", "n1", "-listen", "IP:127.0.0.1:0", "-peer", l.Addr().String()},
	} {
		err := refuses(t, args...)
		wantFailure(t, err, 1, "address already in use")
		if err != nil && !strings.Contains(err.Error(), l.Addr().String()) {
			t.Errorf("the address is not named: %v", err)
		}
		wantHint(t, err, "Another process listens there")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err = refuses(t, "-memory", "-listen", "UNIX:"+file)
	wantFailure(t, err, 1, "no socket")
	wantHint(t, err, "in the way")
}

// wantHint holds what an error says to do next against a part of it.
func wantHint(t *testing.T, err error, part string) {
	t.Helper()
	var hint *config.HintError
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint, part) {
		t.Errorf("%v: the hint is %+v, want %q", err, hint, part)
	}
}

func TestBadDataDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "data"), "/proc/data"} {
		wantFailure(t, refuses(t, "-listen", "IP:127.0.0.1:0", "-node", "n1", "-data", dir), 1, "data directory: ")
	}
}

func TestBadNodeName(t *testing.T) {
	wantFailure(t, refuses(t, "-listen", "IP:127.0.0.1:0", "-node", "n 1", "-data", t.TempDir()), 2, "-node: ")
}

// withBackend runs the daemon over a backend of the test's.
func withBackend(t *testing.T, back *backend) *process {
	t.Helper()
	opts, err := parse([]string{"-memory", "-listen", "IP:" + testcluster.FreeAddress(t), "-admin",
		"UNIX:" + filepath.Join(t.TempDir(), "admin"), "-log-format", "json"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return started(t, func(ctx context.Context, stdout, stderr io.Writer) error {
		return opts.daemon.Run(ctx, program, stderr, func(ctx context.Context, p *daemon.Process) error {
			return serve(ctx, opts, p, func(*options, *slog.Logger) (*backend, error) { return back, nil }, stdout)
		})
	})
}

func TestOrderOfStopping(t *testing.T) {
	store := store.NewMemory(0)
	back := openMemory(defaults())
	back.store = store
	var p *process
	var c net.Conn
	var steps []string
	back.stepdown = func(context.Context) error {
		steps = append(steps, "step down")
		if _, err := net.Dial("tcp", p.clients[0]); err == nil {
			t.Error("a new connection was accepted while leadership is handed over")
		}
		wantAnswer(t, c, wire.OpHave, []byte("id"), "\x01")
		if _, err := adminOf(t, p.admins[0]).Status(context.Background()); err != nil {
			t.Errorf("no status while leadership is handed over: %v", err)
		}
		return errors.New("nobody to hand over to")
	}
	back.close = func() error {
		steps = append(steps, "close")
		if _, err := testutil.Exchange(c, wire.OpHave, []byte("id")); err == nil {
			t.Error("a request was answered when the store was closing")
		}
		if _, err := adminOf(t, p.admins[0]).Status(context.Background()); err == nil {
			t.Error("status was answered when the store was closing")
		}
		return store.Close()
	}
	p = withBackend(t, back)
	c = p.dial()
	wantAnswer(t, c, wire.OpHave, []byte("id"), "\x01")
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if got := strings.Join(steps, ", "); got != "step down, close" {
		t.Errorf("steps were %s", got)
	}
}

func TestStoreEnds(t *testing.T) {
	for _, test := range []struct {
		why  error
		code int
	}{
		{fmt.Errorf("wrapped: %w", raftstore.ErrLeft), 0},
		{raftstore.ErrRemoved, 1},
		{fmt.Errorf("%w: no space", raftstore.ErrDisk), 1},
	} {
		done := make(chan struct{})
		back := openMemory(defaults())
		back.done = done
		back.err = func() error { return test.why }
		back.stepdown = func(context.Context) error {
			t.Error("asked to step down after its end")
			return nil
		}
		p := withBackend(t, back)
		close(done)
		err := <-p.Ended
		if code := config.Exit(program, err, io.Discard); code != test.code {
			t.Errorf("%v: exit status %d", test.why, code)
		}
		if err != nil && !errors.Is(err, test.why) {
			t.Errorf("%v: said %v", test.why, err)
		}
	}
}

func TestStoreFailsToClose(t *testing.T) {
	back := openMemory(defaults())
	back.close = func() error { return errors.New("no space") }
	wantFailure(t, withBackend(t, back).Stop(), 1, "closing the store: no space")
}

// A process that waited for its hung disk would stay the leader, and keep its cluster from having another.
func TestStoreHangs(t *testing.T) {
	done, thaw := make(chan struct{}), make(chan struct{})
	defer close(thaw)
	back := openMemory(defaults())
	back.done = done
	back.err = func() error { return fmt.Errorf("%w: a write has not ended", raftstore.ErrDisk) }
	back.close = func() error {
		<-thaw
		return nil
	}
	p := withBackend(t, back)
	close(done)
	err := <-p.Ended
	wantFailure(t, err, 1, "a write has not ended")
	wantFailure(t, err, 1, "the files were not closed")
}
