package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// newCluster starts three dc_server processes that are one cluster.
func newCluster(t *testing.T, ctx context.Context) []*procs.Server {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "dc_server")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "../dc_server").CombinedOutput(); err != nil {
		t.Fatalf("building dc_server: %v\n%s", err, out)
	}
	servers, err := procs.NewCluster(procs.Config{Program: []string{binary}, Dir: dir}, 3, "-timeout", "8s")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
	}
	leader(t, ctx, servers)
	return servers
}

func leader(t *testing.T, ctx context.Context, servers []*procs.Server) *procs.Server {
	t.Helper()
	l, err := procs.Leader(ctx, servers)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A strain is a load on the proxy: reads, none of which may fail, and writes, which may if their fate is unknown.
type strain struct {
	t        *testing.T
	path     string
	stop     atomic.Bool
	wg       sync.WaitGroup
	reads    atomic.Uint64
	unknown  atomic.Uint64
	longest  atomic.Int64
	mu       sync.Mutex
	acked    []string
	settings []client.Option
}

func session(id string) []byte { return []byte("the session " + id) }

func newStrain(t *testing.T, ctx context.Context, path string) *strain {
	s := &strain{t: t, path: path, settings: []client.Option{client.WithTimeout(testutil.Patience)}}
	c := s.dial()
	const there = 100
	for i := range there {
		id := fmt.Sprint("there ", i)
		if err := c.Add(ctx, []byte(id), session(id), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for w := range 6 {
		c := s.dial()
		s.wg.Go(func() {
			for n := w; !s.stop.Load(); n++ {
				s.read(ctx, c, fmt.Sprint("there ", n%there))
			}
		})
	}
	for w := range 3 {
		c := s.dial()
		s.wg.Go(func() {
			for n := 0; !s.stop.Load(); n++ {
				s.write(ctx, c, fmt.Sprintf("new %d %d", w, n))
			}
		})
	}
	return s
}

func (s *strain) dial() *client.Client {
	c, err := client.Dial("UNIX:"+s.path, s.settings...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

func (s *strain) took(began time.Time) {
	d := int64(time.Since(began))
	for old := s.longest.Load(); d > old && !s.longest.CompareAndSwap(old, d); old = s.longest.Load() {
	}
}

func (s *strain) read(ctx context.Context, c *client.Client, id string) {
	began := time.Now()
	data, err := c.Get(ctx, []byte(id))
	s.took(began)
	if err != nil || string(data) != string(session(id)) {
		s.t.Errorf("a read failed after %v: %v", time.Since(began), err)
	}
	s.reads.Add(1)
}

func (s *strain) write(ctx context.Context, c *client.Client, id string) {
	began := time.Now()
	err := c.Add(ctx, []byte(id), session(id), time.Hour)
	s.took(began)
	switch err {
	case nil:
		s.mu.Lock()
		s.acked = append(s.acked, id)
		s.mu.Unlock()
	case wire.Disconnected:
		s.unknown.Add(1)
	default:
		s.t.Errorf("a write was answered %v", err)
	}
}

// flow waits until the load goes on.
func (s *strain) flow() {
	s.t.Helper()
	s.mu.Lock()
	acked, reads := len(s.acked), s.reads.Load()
	s.mu.Unlock()
	testutil.Eventually(s.t, "reads and writes", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.acked) > acked+20 && s.reads.Load() > reads+20
	})
}

// The nodes of a cluster are killed, frozen and started again under load, the one that the proxy uses and the leader
// among them: reads never fail, and what was acknowledged is there.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("real processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*testutil.Patience)
	defer cancel()
	servers := newCluster(t, ctx)
	dir := t.TempDir()
	args := []string{"-listen", "UNIX:" + dir + "/c", "-admin", "UNIX:" + dir + "/admin", "-timeout", "10s", "-retry",
		"200"}
	byName := make(map[string]*procs.Server)
	for _, s := range servers {
		args = append(args, "-server", s.Listen.String())
		byName[s.Listen.String()] = s
	}
	start(t, args...)
	var used *procs.Server
	allReady := func() bool {
		var status struct {
			Servers []struct {
				Name, State string
				Used        bool
			}
		}
		ask(t, dir+"/admin", "/v1/status", &status)
		n := 0
		for _, s := range status.Servers {
			if s.State == "ready" {
				n++
			}
			if s.Used {
				used = byName[s.Name]
			}
		}
		return n == len(servers)
	}
	firstChoice := func() bool { return allReady() && used == servers[0] }
	testutil.Eventually(t, "first choice in use", firstChoice)
	load := newStrain(t, ctx, dir+"/c")
	for _, step := range []struct {
		what string
		who  func() *procs.Server
		hit  func(*procs.Server)
	}{
		{"the server in use is killed", func() *procs.Server { return used }, (*procs.Server).Kill},
		{"the server in use is frozen", func() *procs.Server { return used },
			func(s *procs.Server) { _ = s.Signal(syscall.SIGSTOP) }},
		{"the leader is killed", func() *procs.Server { return leader(t, ctx, servers) }, (*procs.Server).Kill},
		{"the server in use is stopped", func() *procs.Server { return used }, func(s *procs.Server) {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}},
	} {
		load.flow()
		load.longest.Store(0)
		before := load.unknown.Load()
		victim := step.who()
		step.hit(victim)
		load.flow()
		t.Logf("%s: longest wait %v, %d writes of unknown fate", step.what, time.Duration(load.longest.Load()),
			load.unknown.Load()-before)
		if victim.Running() {
			if err := victim.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		} else if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		testutil.Eventually(t, "three servers ready", allReady)
	}
	testutil.Eventually(t, "return to the first choice", firstChoice)
	load.flow()
	load.stop.Store(true)
	load.wg.Wait()
	c := load.dial()
	for _, id := range load.acked {
		load.read(ctx, c, id)
	}
	t.Logf("%d reads, %d writes acknowledged, %d of unknown fate", load.reads.Load(), len(load.acked), load.unknown.Load())
}
