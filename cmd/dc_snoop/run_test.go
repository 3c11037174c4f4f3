package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire/client"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// start runs dc_snoop until it is ready.
func start(t *testing.T, args ...string) *testutil.Daemon {
	t.Helper()
	return testutil.Start(t, func(ctx context.Context, stdout, stderr io.Writer) error {
		return run(ctx, append(args, "-log-format", "json"), stdout, stderr)
	})
}

// cache runs a server with sessions in memory.
func cache(t *testing.T) net.Listener {
	t.Helper()
	store := store.NewMemory(0)
	s, err := server.New(server.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	l := testutil.Listen(t, "tcp")
	testutil.Serve(t, l, s)
	t.Cleanup(func() { store.Close() })
	return l
}

func TestRun(t *testing.T) {
	at := "UNIX:" + filepath.Join(t.TempDir(), "sock")
	d := start(t, "-listen", at, "-server", "IP:"+cache(t).Addr().String(), "-stats")
	c, err := client.Dial(at)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Add(t.Context(), []byte("\xca\xfe"), []byte("hello"), time.Minute); err != nil {
		t.Error(err)
	}
	c.Close()
	testutil.Eventually(t, "the connection's end", func() bool { return strings.Contains(d.Out.String(), "close  ") })
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	want := []string{"open   from ", "-> ADD    uid=1          id=cafe               5 B  timeout 1m",
		"<- ADD    uid=1          id=cafe                    OK ", "close  by the client", "1 new connection, 0 open"}
	lines := strings.Split(d.Out.String(), "\n")
	for i, part := range want {
		if len(lines) <= i || !strings.Contains(lines[i], part) {
			t.Fatalf("no %q in line %d of\n%s", part, i+1, d.Out.String())
		}
	}
	if strings.Contains(d.Out.String(), "\x1b") || !strings.HasPrefix(lines[len(want)-1], "--- ") {
		t.Errorf("got\n%s", d.Out.String())
	}
}

func TestAddressInUse(t *testing.T) {
	l := cache(t)
	free := filepath.Join(t.TempDir(), "sock")
	args := []string{"-listen", "UNIX:" + free, "-listen", "IP:" + l.Addr().String(), "-server", "IP:localhost:1"}
	err := run(t.Context(), args, io.Discard, io.Discard)
	var said strings.Builder
	if err == nil || config.Exit(program, err, &said) != 1 ||
		!strings.Contains(said.String(),
			"address already in use\nAnother process listens there: stop it, or give another address.") ||
		!strings.Contains(said.String(), l.Addr().String()) {
		t.Errorf("got %v, said %q", err, said.String())
	}
	freed, err := testutil.Address(t, "UNIX:"+free).Listen(t.Context())
	if err != nil {
		t.Fatal(fmt.Errorf("the first listener was left open: %w", err))
	}
	freed.Close()
}

func TestOutputFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "traffic")
	at := "UNIX:" + filepath.Join(dir, "sock")
	d := start(t, "-listen", at, "-server", "IP:"+cache(t).Addr().String(), "-output", path)
	c, err := client.Dial(at)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Add(t.Context(), []byte("\xca\xfe"), []byte("hello"), time.Minute); err != nil {
		t.Error(err)
	}
	c.Close()
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); err != nil || !strings.Contains(string(b), "id=cafe") {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
}

// Without a reader of its own output it does not start, rather than wait for one.
func TestOutputPipeWithoutAReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), strings.Fields("-listen IP:127.0.0.1:0 -server IP:127.0.0.1:1 -output "+path), io.Discard,
		io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-output: open "+path+": it is a pipe that nobody reads from") {
		t.Errorf("got %v", err)
	}
}
