package main

import (
	"bufio"
	"context"
	"encoding/json"
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
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// start runs dc_snoop until it is ready, and returns its output and how to stop it.
func start(t *testing.T, args ...string) (stdout *bufio.Scanner, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	logReader, logWriter := io.Pipe()
	outReader, outWriter := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append(args, "-log-format", "json"), outWriter, logWriter)
		outWriter.Close()
		logWriter.Close()
		ended <- err
	}()
	stop = func() error {
		cancel()
		err, ok := <-ended
		if ok {
			close(ended)
		}
		return err
	}
	t.Cleanup(func() {
		outReader.Close() // so that no line is waited for
		stop()
	})
	log := bufio.NewScanner(logReader)
	for log.Scan() {
		var line struct{ Msg string }
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("log has %q: %v", log.Text(), err)
		}
		if line.Msg == "ready" {
			go io.Copy(io.Discard, logReader)
			return bufio.NewScanner(outReader), stop
		}
	}
	t.Fatalf("it did not get ready: %v", <-ended)
	return nil, nil
}

// cache runs a server with sessions in memory.
func cache(t *testing.T) net.Listener {
	t.Helper()
	store := store.NewMemory(0)
	s, err := server.New(server.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		store.Close()
		<-ended
	})
	return l
}

func TestRun(t *testing.T) {
	at := "UNIX:" + filepath.Join(t.TempDir(), "sock")
	out, stop := start(t, "-listen", at, "-server", "IP:"+cache(t).Addr().String(), "-stats")
	c, err := client.Dial(at)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Add(t.Context(), []byte("\xca\xfe"), []byte("hello"), time.Minute); err != nil {
		t.Error(err)
	}
	c.Close()
	want := []string{"open   from ", "-> ADD    uid=1          id=cafe               5 B  timeout 1m", "<- ADD    uid=1          id=cafe                    OK ", "close  by the client"}
	for _, part := range want {
		if !out.Scan() || !strings.Contains(out.Text(), part) || strings.Contains(out.Text(), "\x1b") {
			t.Errorf("got %q, want %q", out.Text(), part)
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	if !out.Scan() || !strings.HasPrefix(out.Text(), "--- ") || !strings.Contains(out.Text(), "1 new connection, 0 open") {
		t.Errorf("summary is %q", out.Text())
	}
	for out.Scan() {
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestAddressInUse(t *testing.T) {
	l := cache(t)
	free := filepath.Join(t.TempDir(), "sock")
	args := []string{"-listen", "UNIX:" + free, "-listen", "IP:" + l.Addr().String(), "-server", "IP:localhost:1"}
	err := run(t.Context(), args, io.Discard, io.Discard)
	var said strings.Builder
	if err == nil || config.Exit(program, err, &said) != 1 ||
		!strings.Contains(said.String(), "address already in use\nAnother process listens there: stop it, or give another address.") ||
		!strings.Contains(said.String(), l.Addr().String()) {
		t.Errorf("got %v, said %q", err, said.String())
	}
	again, err := wire.ParseAddress("UNIX:" + free)
	if err != nil {
		t.Fatal(err)
	}
	freed, err := again.Listen(t.Context())
	if err != nil {
		t.Fatal(fmt.Errorf("the first listener was left open: %w", err))
	}
	freed.Close()
}

func TestOutputFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "traffic")
	at := "UNIX:" + filepath.Join(dir, "sock")
	_, stop := start(t, "-listen", at, "-server", "IP:"+cache(t).Addr().String(), "-output", path)
	c, err := client.Dial(at)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Add(t.Context(), []byte("\xca\xfe"), []byte("hello"), time.Minute); err != nil {
		t.Error(err)
	}
	c.Close()
	if err := stop(); err != nil {
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
	err := run(t.Context(), strings.Fields("-listen IP:127.0.0.1:0 -server IP:127.0.0.1:1 -output "+path), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-output: open "+path+": it is a pipe that nobody reads from") {
		t.Errorf("got %v", err)
	}
}
