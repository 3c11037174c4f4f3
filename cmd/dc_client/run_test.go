package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// A process is a dc_client that runs in this one.
type process struct {
	*testutil.Daemon
	clients, admins []string // where it listens
}

// start runs dc_client until it says that it has started.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	d := testutil.Start(t, func(ctx context.Context, stdout, stderr io.Writer) error {
		return run(ctx, append(args, "-log-format", "json"), stdout, stderr)
	})
	return &process{d, d.Logged["listening for clients"], d.Logged["listening for questions of status"]}
}

// serve starts a server on a unix socket.
func serve(t *testing.T, path string, store store.Store) {
	t.Helper()
	s, err := server.New(server.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	testutil.Serve(t, testutil.Listen(t, "unix", path), s)
}

func dial(t *testing.T, path string) *client.Client {
	t.Helper()
	c, err := client.Dial("UNIX:" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestProxy(t *testing.T) {
	dir := t.TempDir()
	store := store.NewMemory(0)
	defer store.Close()
	serve(t, dir+"/s1", store)
	p := start(t, "-listen", "UNIX:"+dir+"/c", "-listen", "IP:127.0.0.1:0", "-server", "UNIX:"+dir+"/s1", "-connect",
		"UNIX:"+dir+"/s2",
		"-mintimeout", "60000", "-admin", "UNIX:"+dir+"/admin")
	if len(p.clients) != 2 || len(p.admins) != 1 {
		t.Fatalf("listens on %q and %q", p.clients, p.admins)
	}
	ctx := t.Context()
	c := dial(t, dir+"/c")
	if err := c.Add(ctx, []byte("id"), []byte("some data"), 0); err != nil { // gone at once but for -mintimeout
		t.Fatal(err)
	}
	if data, err := c.Get(ctx, []byte("id")); err != nil || string(data) != "some data" {
		t.Errorf("got %q, %v", data, err)
	}
	if err := c.Remove(ctx, []byte("id")); err != nil {
		t.Error(err)
	}
	if err := c.Have(ctx, []byte("id")); err != wire.NotOK {
		t.Error(err)
	}

	var status struct {
		Servers []struct {
			Name, State, Error string
			Used               bool
		}
	}
	for { // until the second server has been tried
		ask(t, dir+"/admin", "/v1/status", &status)
		if s := status.Servers; len(s) != 2 || s[1].Error != "" || ctx.Err() != nil {
			break
		}
		runtime.Gosched()
	}
	if s := status.Servers; len(s) != 2 || !s[0].Used || s[0].Name != "UNIX:"+dir+"/s1" || s[1].State != "down" ||
		s[1].Error == "" {
		t.Errorf("status is %+v", status)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("unix", dir+"/c"); err == nil {
		t.Error("it still listens")
	}
}

// ask makes a call on the admin socket.
func ask(t *testing.T, socket, path string, into any) {
	t.Helper()
	code, text := testutil.Page(t, "unix", socket, path)
	if err := json.Unmarshal([]byte(text), into); err != nil || code != http.StatusOK {
		t.Fatalf("%s: %d, %v", path, code, err)
	}
}

// Without a server it starts, answers, and serves when one comes.
func TestServerComesLater(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "-listen", "UNIX:"+dir+"/c", "-server", "UNIX:"+dir+"/s", "-retry", "20")
	c := dial(t, dir+"/c")
	for range 1000 {
		if _, err := c.Get(t.Context(), []byte("id")); err != wire.Disconnected {
			t.Fatalf("got %v", err)
		}
	}
	const ready = `"msg":"ready"`
	if log := p.Log.String(); strings.Contains(log, ready) {
		t.Errorf("the log says that it is ready:\n%s", log)
	}
	store := store.NewMemory(0)
	defer store.Close()
	serve(t, dir+"/s", store)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !strings.Contains(p.Log.String(), ready) {
		select {
		case <-ctx.Done():
			t.Fatalf("the log does not say that it is ready:\n%s", p.Log.String())
		case <-time.After(time.Millisecond):
		}
	}
	for err := error(wire.Disconnected); err != wire.NotOK; {
		if err = c.Have(ctx, []byte("id")); ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// A gate holds every call that reads until it is opened.
type gate struct {
	store.Store
	entered chan struct{}
	open    chan struct{}
}

func (g *gate) Have(ctx context.Context, id []byte) error {
	if len(id) == len("slow") {
		g.entered <- struct{}{}
		<-g.open
	}
	return g.Store.Have(ctx, id)
}

// Told to stop, it answers what has been asked.
func TestStopDrains(t *testing.T) {
	dir := t.TempDir()
	store := store.NewMemory(0)
	defer store.Close()
	g := &gate{store, make(chan struct{}, 1), make(chan struct{})}
	serve(t, dir+"/s", g)
	p := start(t, "-listen", "UNIX:"+dir+"/c", "-server", "UNIX:"+dir+"/s", "-timeout", "20s")
	c := dial(t, dir+"/c")
	answered := make(chan error, 1)
	go func() { answered <- c.Have(context.Background(), []byte("slow")) }()
	<-g.entered
	p.Cancel()
	for { // until it takes no more clients
		nc, err := net.Dial("unix", dir+"/c")
		if err != nil {
			break
		}
		nc.Close()
	}
	close(g.open)
	if err := <-answered; err != wire.NotOK {
		t.Errorf("answered %v", err)
	}
	if err := <-p.Ended; err != nil {
		t.Error(err)
	}
}

// A client that goes away with its requests in flight costs nothing.
func TestClientGoesAway(t *testing.T) {
	dir := t.TempDir()
	store := store.NewMemory(0)
	defer store.Close()
	g := &gate{store, make(chan struct{}, 1), make(chan struct{})}
	serve(t, dir+"/s", g)
	start(t, "-listen", "UNIX:"+dir+"/c", "-server", "UNIX:"+dir+"/s", "-admin", "UNIX:"+dir+"/admin")
	nc, err := net.Dial("unix", dir+"/c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(wire.AppendMessage(nil,
		&wire.Message{UID: 1, Op: wire.OpHave, Payload: []byte("slow")})); err != nil {
		t.Fatal(err)
	}
	<-g.entered
	nc.Close()
	c := dial(t, dir+"/c")
	if err := c.Have(t.Context(), []byte("quick")); err != wire.NotOK {
		t.Error(err)
	}
	close(g.open)
	var status struct{ Servers []struct{ In_Flight int } }
	for status.Servers == nil || status.Servers[0].In_Flight > 0 {
		ask(t, dir+"/admin", "/v1/status", &status)
	}
	if err := c.Have(t.Context(), []byte("quick")); err != wire.NotOK {
		t.Error(err)
	}
}

func TestIdle(t *testing.T) {
	dir := t.TempDir()
	start(t, "-listen", "UNIX:"+dir+"/c", "-server", "UNIX:"+dir+"/s", "-idle", "20")
	nc, err := net.Dial("unix", dir+"/c")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("reading: %v", err)
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
		{"-server", "UNIX:/s", "-listen", at},
		{"-server", "UNIX:/s", "-listen", "UNIX:" + filepath.Join(t.TempDir(), "c"), "-admin", at},
	} {
		err := run(t.Context(), args, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), at) ||
			config.Exit(program, err, io.Discard) != 1 {
			t.Errorf("got %v", err)
		}
	}
}

// A start that fails is not said to have stopped as well.
func TestFailedStartIsSaidOnce(t *testing.T) {
	var log bytes.Buffer
	err := run(t.Context(), []string{"-server", "IP:127.0.0.1:1", "-listen",
		"UNIX:" + filepath.Join(t.TempDir(), "none", "s")}, io.Discard, &log)
	if err == nil || strings.Contains(log.String(), "msg=stopped") {
		t.Errorf("%v, and the log has\n%s", err, &log)
	}
	path := filepath.Join(t.TempDir(), "log")
	if err := run(t.Context(), []string{"-server", "IP:127.0.0.1:1", "-listen", "UNIX:/none/there/s", "-log-file", path},
		io.Discard, io.Discard); err == nil {
		t.Error("it started")
	}
	if b, err := os.ReadFile(path); err != nil || strings.Count(string(b), "msg=stopped") != 1 ||
		!strings.Contains(string(b), "level=ERROR msg=stopped") {
		t.Errorf("%v, and the log file has\n%s", err, b)
	}
}
