package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
)

// handOver returns a descriptor of f's file that is not f's own, like an inherited one.
func handOver(t *testing.T, f interface{ File() (*os.File, error) }) string {
	t.Helper()
	file, err := f.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return dup(t, file)
}

func dup(t *testing.T, f *os.File) string {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	if err := raw.Control(func(n uintptr) { fd, err = syscall.Dup(int(n)) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(fd)
}

// connected returns both ends of a connection.
func connected(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l := listen(t, "IP:127.0.0.1:0")
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestListenOnInheritedListener(t *testing.T) {
	inherited := listen(t, "IP:127.0.0.1:0")
	address := parse(t, "FD:"+handOver(t, inherited.(*net.TCPListener)))
	if _, err := address.Dial(context.Background()); err == nil {
		t.Error("dialled a listening socket")
	}
	l := listen(t, address.String())
	inherited.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	talk(t, client, server)
}

func TestListenOnInheritedConnection(t *testing.T) {
	client, theirs := connected(t)
	l := listen(t, "FD:"+handOver(t, theirs.(*net.TCPConn)))
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	talk(t, client, server)
	server.Close()
	if _, err := l.Accept(); err != io.EOF {
		t.Errorf("after the only connection: %v", err)
	}
	l.Close()
	if _, err := l.Accept(); err == nil {
		t.Error("accepted from a closed listener")
	}

	client, theirs = connected(t)
	server, err = parse(t, "FD:"+handOver(t, theirs.(*net.TCPConn))).Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	talk(t, client, server)
}

// pipes returns a client that consists of two pipes, and the descriptors of their other ends.
func pipes(t *testing.T) (client net.Conn, address string) {
	t.Helper()
	in, toServer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromServer, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	address = "FD:" + dup(t, in) + ":" + dup(t, out)
	in.Close()
	out.Close()
	client, err = parse(t, "FD:"+dup(t, fromServer)+":"+dup(t, toServer)).Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	fromServer.Close()
	toServer.Close()
	t.Cleanup(func() { client.Close() })
	return client, address
}

func TestDescriptorPair(t *testing.T) {
	client, address := pipes(t)
	l := listen(t, address)
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	talk(t, client, server)
	if got := server.RemoteAddr().String(); got != address {
		t.Errorf("remote address %s, want %s", got, address)
	}
	if err := client.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the peer's end: %d, %v", n, err)
	}
	server.Close()
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after Close: %d, %v", n, err)
	}
}

func TestBadDescriptors(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx := context.Background()
	if _, err := parse(t, "FD:"+dup(t, r)).Listen(ctx); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a pipe: %v", err)
	}
	for _, s := range []string{"FD:987654", "FD:987654:987655"} {
		_, err := parse(t, s).Listen(ctx)
		if !strings.Contains(errString(err), "descriptor 987654: bad file descriptor") {
			t.Errorf("%s: %v", s, err)
		}
		if _, err := parse(t, s).Dial(ctx); err == nil {
			t.Errorf("%s: dialled", s)
		}
	}
}

// An address that has been used stays used: a file opened later is not taken in its place.
func TestDescriptorIsTakenOnce(t *testing.T) {
	ctx := context.Background()
	client, theirs := connected(t)
	single := parse(t, "FD:"+handOver(t, theirs.(*net.TCPConn)))
	server, err := single.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	talk(t, client, server)

	_, address := pipes(t)
	pair := parse(t, address)
	both, err := pair.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer both.Close()

	for range 20 { // enough files to get each number that is free
		another, other := connected(t)
		for _, a := range []wire.Address{single, pair} {
			if nc, err := a.Dial(ctx); !strings.Contains(errString(err), "taken over already") {
				t.Fatalf("%v, dialled again: %v, %v", a, nc, err)
			}
			if l, err := a.Listen(ctx); !strings.Contains(errString(err), "taken over already") {
				t.Fatalf("%v, listened on after that: %v, %v", a, l, err)
			}
		}
		talk(t, another, other)
	}
}

// As under inetd: the standard descriptors are the connection. Nothing that is opened later gets their numbers.
func TestStandardDescriptors(t *testing.T) {
	const child = "WIRE_TEST_CHILD"
	if os.Getenv(child) != "" {
		l := listen(t, "FD:0:1")
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(server, "%v", f.Fd() > 2)
		io.Copy(server, server)
		server.Close()
		if _, err := l.Accept(); err != io.EOF {
			t.Fatal(err)
		}
		if _, err := server.Write([]byte("x")); err == nil {
			t.Fatal("written after Close")
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStandardDescriptors$")
	cmd.Env = append(os.Environ(), child+"=1")
	cmd.Stdin = strings.NewReader(" ping")
	var out, log strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil || out.String() != "true ping" {
		t.Errorf("%v, %q, %s", err, &out, &log)
	}
}

// Reads and writes of a pair of descriptors end at their deadlines.
func TestDescriptorDeadlines(t *testing.T) {
	client, _ := pipes(t)
	if err := client.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if _, err := client.Write(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
}

func errString(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
