package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/internal/testlog"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/server"
	"github.com/distcache/distcache/wire/store"
)

// A connection for each request, by many clients at once: each has its own answer, and nothing is left open.
func TestShortConnections(t *testing.T) {
	i := start(t, "loop", server.Config{})
	i.dial(t).want(wire.OK, wire.OpAdd, add("all", "of them", time.Minute))
	before := descriptors(t)
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			for k := range 50 {
				id := fmt.Sprint(n, " ", k)
				ask := func(op wire.Op, payload []byte, want string) {
					c := i.dial(t)
					defer c.Close()
					if got := c.ask(op, payload); string(got) != want {
						t.Errorf("%v: %d bytes instead of %d", op, len(got), len(want))
					}
				}
				data := strings.Repeat(id, 1+k*100)
				ask(wire.OpAdd, add(id, data, time.Minute), "\x00")
				ask(wire.OpGet, []byte(id), data)
				ask(wire.OpRemove, []byte(id), "\x00")
				ask(wire.OpHave, []byte(id), "\x01")
			}
		})
	}
	wg.Wait()
	eventually(t, "all is given back", func() bool { s := i.Stats(); return s.Connections == 1 && s.InFlight == 0 })
	eventually(t, "no descriptor is left open", func() bool { return descriptors(t) <= before })
	if s := i.Stats(); s.Accepted != 1+16*50*4 || s.Broken+s.Refused+s.Stalled != 0 || i.log.String() != "" {
		t.Errorf("%+v; log: %s", s, i.log)
	}
}

func descriptors(t *testing.T) int {
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// What is not one whole request is served all the same.
func TestLoopHandsOver(t *testing.T) {
	i := start(t, "loop", server.Config{})
	whole := request(1, wire.OpAdd, add("a", strings.Repeat("data", 3000), time.Minute))
	for _, at := range []int{1, 13, 14, 15, 2061, 2062, 2063, len(whole) - 1} {
		t.Run(fmt.Sprint("in two pieces, ", at), func(t *testing.T) {
			c := i.dial(t)
			c.write(whole[:at])
			eventually(t, "the first has been read", func() bool { return unread(t, c) == 0 })
			c.write(whole[at:])
			if m := c.recv(); m.UID != 1 {
				t.Errorf("uid %d", m.UID)
			}
			c.want(wire.OK, wire.OpRemove, []byte("a"))
		})
	}
	t.Run("two at once", func(t *testing.T) {
		c := i.dial(t)
		c.write(append(request(1, wire.OpHave, []byte("a")), request(2, wire.OpHave, []byte("a"))...))
		for uid := range uint32(2) {
			if m := c.recv(); m.UID != uid+1 {
				t.Errorf("uid %d", m.UID)
			}
		}
	})
	t.Run("more than a buffer at once", func(t *testing.T) {
		const n = 2000
		c := i.dial(t)
		var all []byte
		for uid := range uint32(n) {
			all = append(all, request(uid, wire.OpHave, []byte(strings.Repeat("x", 64)))...)
		}
		go c.Write(all)
		for uid := range uint32(n) {
			if m := c.recv(); m.UID != uid {
				t.Fatalf("uid %d instead of %d", m.UID, uid)
			}
		}
	})
	t.Run("later", func(t *testing.T) {
		c := i.dial(t)
		for range 3 {
			c.want(wire.NotOK, wire.OpHave, []byte("a"))
		}
	})
}

// unread is how many bytes of what a client has written the server has not read.
func unread(t *testing.T, c *client) (n int) {
	raw, err := c.Conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A second request of a connection whose first is under way is begun, and both are answered.
func TestLoopSecondBeforeFirst(t *testing.T) {
	store := newGateStore(t, "a")
	i := start(t, "loop", server.Config{Store: store})
	c := i.dial(t)
	c.send(1, wire.OpHave, []byte("a"))
	<-store.entered
	c.send(2, wire.OpHave, []byte("b"))
	if m := c.recv(); m.UID != 2 {
		t.Errorf("uid %d first", m.UID)
	}
	store.gates["a"] <- 1
	if m := c.recv(); m.UID != 1 {
		t.Errorf("uid %d second", m.UID)
	}
}

// Shutdown closes connections that have asked nothing yet, and those that wait for more.
func TestLoopShutdown(t *testing.T) {
	i := start(t, "loop", server.Config{})
	silent, asked, second := i.dial(t), i.dial(t), i.dial(t)
	asked.want(wire.NotOK, wire.OpHave, []byte("a"))
	second.want(wire.NotOK, wire.OpHave, []byte("a"))
	second.want(wire.NotOK, wire.OpHave, []byte("a"))
	eventually(t, "all are accepted", func() bool { return i.Stats().Connections == 3 })
	if err := i.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	for _, c := range []*client{silent, asked, second} {
		c.wantClosed()
	}
	if s := i.Stats(); s.Connections != 0 {
		t.Errorf("%+v", s)
	}
}

// Shutdown answers what has arrived, also when that is on many connections at once.
func TestLoopShutdownAnswersMany(t *testing.T) {
	i := start(t, "loop", server.Config{})
	all := make([]*client, 1000)
	for n := range all {
		all[n] = i.dial(t)
	}
	eventually(t, "all are accepted", func() bool { return i.Stats().Connections == int64(len(all)) })
	one := request(1, wire.OpHave, []byte("x"))
	for _, c := range all {
		c.write(one)
	}
	if err := i.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	for _, c := range all {
		c.recv()
	}
}

// What a connection has sent at first is not kept once it has been answered.
func TestLoopKeepsNothing(t *testing.T) {
	i := start(t, "loop", server.Config{})
	const requests = 800
	burst := bytes.Repeat(request(1, wire.OpHave, bytes.Repeat([]byte("x"), 64)), requests)
	heap := func() int {
		runtime.GC()
		runtime.GC() // for what pools keep
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	all := make([]*client, 60)
	for n := range all {
		all[n] = i.dial(t)
	}
	before := heap()
	for _, c := range all {
		go c.Write(burst)
		for range requests {
			c.recv()
		}
	}
	if each := (heap() - before) / len(all); each > len(burst)/2 {
		t.Errorf("%d bytes are kept for an idle connection", each)
	}
}

// Serve tells of a listener that somebody else has closed.
func TestLoopListenerClosed(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{Store: starting{store.NewMemory(0)}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	nc, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	eventually(t, "it serves", func() bool { return s.Stats().Connections == 1 })
	l.Close()
	select {
	case err := <-served:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(patience):
		t.Error("Serve goes on")
	}
}

// Without descriptors connections wait until there are some.
func TestLoopOutOfDescriptors(t *testing.T) {
	log := new(testlog.Buffer)
	i := start(t, "loop", server.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
	i.dial(t).want(wire.NotOK, wire.OpHave, []byte("a"))

	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "client")
	defer f.Close()
	var limit, none syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none = limit
	none.Cur = 3 // descriptors that are open stay so
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restored := sync.OnceFunc(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	defer restored()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: i.addr.String()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told", func() bool { return strings.Contains(log.String(), "cannot accept a connection") })
	restored()
	nc, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := &client{t, nc, wire.NewReader(nc, wire.Responses)}
	nc.SetDeadline(time.Now().Add(patience))
	c.want(wire.NotOK, wire.OpHave, []byte("a"))
}
