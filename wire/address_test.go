package wire_test

import (
	"context"
	"errors"
	"fmt"
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

	"github.com/distcache/distcache/wire"
)

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]string{
		"IP:9001":                 "IP:9001",
		"IP::9001":                "IP:9001",
		"ip:0":                    "IP:0",
		"IP:localhost:9001":       "IP:localhost:9001",
		"IP:192.168.0.1:9001":     "IP:192.168.0.1:9001",
		"IP:[::1]:9001":           "IP:[::1]:9001",
		"IP:[fe80::1%lo]:65535":   "IP:[fe80::1%lo]:65535",
		"IPv4:9001":               "IPv4:9001",
		"ipv4:cache-1.example:1":  "IPv4:cache-1.example:1",
		"IPV6::9001":              "IPv6:9001",
		"IPv6:[::]:9001":          "IPv6:[::]:9001",
		"UNIX:/tmp/scache":        "UNIX:/tmp/scache",
		"unix:relative:with:more": "UNIX:relative:with:more",
		"FD:3":                    "FD:3",
		"fd:0:1":                  "FD:0:1",
	} {
		a, err := wire.ParseAddress(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if a.String() != want {
			t.Errorf("%s: %s, want %s", in, a, want)
		}
		if again, err := wire.ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%s: again %v, %v", in, again, err)
		}
	}
}

func TestParseAddressNamesTheBadPart(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "must begin with",
		"9001":                      "must begin with",
		"localhost:9001":            `unknown kind "localhost"`,
		"TCP:1.2.3.4:9001":          `unknown kind "TCP"`,
		":9001":                     `unknown kind ""`,
		"IP:":                       "port is missing",
		"IP:host:":                  "port is missing",
		"IP:localhost":              `port "localhost"`,
		"IP:host:http":              `port "http"`,
		"IP:host:65536":             `port "65536"`,
		"IP:host:-1":                `port "-1"`,
		"IP:host:+1":                `port "+1"`,
		"IP:::1:9001":               "brackets",
		"IP:[::1:9001":              "closing bracket",
		"IP:[::1]":                  "port is missing",
		"IP:[::1]9001":              "port is missing",
		"IP:[]:9001":                `"" in brackets`,
		"IP:[127.0.0.1]:9001":       "not an IPv6 address",
		"IP:[host]:9001":            "not an IPv6 address",
		"IPv4:[::1]:9001":           "not an IPv4 address",
		"IPv6:127.0.0.1:9001":       "not an IPv6 address",
		"IP:300.1.1.1:9001":         "not an IPv4 address",
		"IP:1.2.3:9001":             "not an IPv4 address",
		"IP:a b:9001":               "not the name of a host",
		"IP:http//x:9001":           "not the name of a host",
		"UNIX:":                     "path is missing",
		"UNIX:@abstract":            "begins with @",
		"UNIX:/a\x00b":              "zero byte",
		"UNIX:/" + long(107):        "has 108 bytes, a unix socket's may have 107",
		"FD:":                       `descriptor ""`,
		"FD:-1":                     `descriptor "-1"`,
		"FD:+1":                     `descriptor "+1"`,
		"FD:0:":                     `descriptor ""`,
		"FD:0:1:2":                  `descriptor "1:2"`,
		"FD:99999999999":            `descriptor "99999999999"`,
		"IP:" + long(254) + ":9001": "not the name of a host",
	} {
		_, err := wire.ParseAddress(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	if _, err := wire.ParseAddress("UNIX:/" + long(106)); err != nil {
		t.Error(err)
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func parse(t *testing.T, s string) wire.Address {
	t.Helper()
	a, err := wire.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func listen(t *testing.T, s string) net.Listener {
	t.Helper()
	l, err := parse(t, s).Listen(context.Background())
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// talk sends a line from one side to the other and back.
func talk(t *testing.T, client, server net.Conn) {
	t.Helper()
	b := make([]byte, 4)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		if _, err := way[0].Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], b); err != nil || string(b) != "ping" {
			t.Fatalf("%q, %v", b, err)
		}
	}
}

func TestListenAndDial(t *testing.T) {
	ctx := context.Background()
	for _, s := range []string{"IP:0", "IP:127.0.0.1:0", "IP:localhost:0", "IPv4:0", "IPv4::0", "UNIX:" + t.TempDir() + "/s"} {
		l := listen(t, s)
		to := s
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			to = "IP:127.0.0.1:" + strconv.Itoa(tcp.Port)
		}
		client, err := parse(t, to).Dial(ctx)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		talk(t, client, server)
		client.Close()
		server.Close()
	}
	for _, s := range []string{"IP:9001", "IP:127.0.0.1:0"} {
		if _, err := parse(t, s).Dial(ctx); err == nil {
			t.Errorf("dialled %s", s)
		}
	}
	if _, err := (wire.Address{}).Listen(ctx); err == nil {
		t.Error("listened nowhere")
	}
	if _, err := (wire.Address{}).Dial(ctx); err == nil {
		t.Error("dialled nowhere")
	}
}

func TestListenUnix(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "s")
	a := parse(t, "UNIX:"+path)

	l, err := a.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Listen(ctx); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("on a live socket: %v", err)
	}
	if l.Close(); exists(path) {
		t.Error("the socket is there after Close")
	}

	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	if !exists(path) {
		t.Fatal("no stale socket to try")
	}
	l, err = a.Listen(ctx)
	if err != nil {
		t.Fatalf("on a stale socket: %v", err)
	}
	l.Close()

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Listen(ctx); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("on a file: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("a file that is no socket was replaced")
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// handOver gives a descriptor of its own for f's file, as one that was inherited.
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

// connected gives both ends of a connection.
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

// pipes gives a client that is two pipes, and the descriptors of their other ends.
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
		if _, err := parse(t, s).Listen(ctx); !strings.Contains(errString(err), "descriptor 987654: bad file descriptor") {
			t.Errorf("%s: %v", s, err)
		}
		if _, err := parse(t, s).Dial(ctx); err == nil {
			t.Errorf("%s: dialled", s)
		}
	}
}

// As under inetd: the standard descriptors are the connection, and nothing opened later gets their numbers.
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

// A pair's reads and writes end at their deadlines.
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

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"IP:9001", "IP::9001", "IP:host:1", "IPv6:[::1%x]:1", "UNIX:/p", "FD:3", "FD:0:1", "IP:[:]:1", "IP:[::ffff:1.2.3.4]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := wire.ParseAddress(s)
		if err != nil {
			if !a.IsZero() {
				t.Fatalf("an error and an address: %v", a)
			}
			return
		}
		again, err := wire.ParseAddress(a.String())
		if err != nil || again != a {
			t.Fatalf("%q is %q, which is %q, %v", s, a, again, err)
		}
	})
}
