package wire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

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
	for _, s := range []string{
		"IP:0", "IP:127.0.0.1:0", "IP:localhost:0", "IPv4:0", "IPv4::0", "UNIX:" + t.TempDir() + "/s",
	} {
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
	_, err = a.Listen(ctx)
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "another process listens") {
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

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{
		"IP:9001", "IP::9001", "IP:host:1", "IPv6:[::1%x]:1", "UNIX:/p", "FD:3", "FD:0:1", "IP:[:]:1",
		"IP:[::ffff:1.2.3.4]:1",
	} {
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

func TestAddressParts(t *testing.T) {
	type parts struct {
		network, host string
		port          uint16
		path          string
		family        int
		all           bool
	}
	for text, want := range map[string]parts{
		"IP:9001":                      {network: "tcp", port: 9001, all: true},
		"ip::9001":                     {network: "tcp", port: 9001, all: true},
		"IPv4:9001":                    {network: "tcp", port: 9001, family: 4, all: true},
		"IPv6:localhost:9001":          {network: "tcp", host: "localhost", port: 9001, family: 6},
		"IP:cache1:9001":               {network: "tcp", host: "cache1", port: 9001},
		"IP:10.0.0.1:9001":             {network: "tcp", host: "10.0.0.1", port: 9001, family: 4},
		"IP:0.0.0.0:9001":              {network: "tcp", host: "0.0.0.0", port: 9001, family: 4, all: true},
		"IP:[::1]:9001":                {network: "tcp", host: "::1", port: 9001, family: 6},
		"IP:[::]:9001":                 {network: "tcp", host: "::", port: 9001, all: true},
		"IP:[::ffff:192.168.0.1]:9001": {network: "tcp", host: "::ffff:192.168.0.1", port: 9001, family: 4},
		"Unix:/run/s":                  {network: "unix", path: "/run/s"},
		"FD:0:1":                       {network: "fd"},
	} {
		a, err := wire.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := (parts{a.Network(), a.Host(), a.Port(), a.Path(), a.Family(), a.AllInterfaces()}); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	if zero := (wire.Address{}); zero.Network() != "" || zero.AllInterfaces() {
		t.Error("the zero Address is somewhere")
	}
}

func TestResolve(t *testing.T) {
	noName := "IP:" + strings.Repeat("a", 64) + ":9001" // a label has at most 63 bytes, so no name server is asked
	for text, want := range map[string]string{
		"IP:127.0.0.1:9001": "127.0.0.1:9001", "UNIX:/run/s": "/run/s", noName: "", "FD:3": "",
	} {
		a, err := wire.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		to, err := a.Resolve()
		switch {
		case want == "" && (err == nil || to != nil):
			t.Errorf("%s: %v, no error", text, to)
		case want != "" && (err != nil || to.String() != want):
			t.Errorf("%s: %v, %v", text, to, err)
		}
	}
}
