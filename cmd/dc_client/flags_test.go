package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/wire"
)

func joined(addresses []wire.Address) string {
	var words []string
	for _, a := range addresses {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}

func TestDefaults(t *testing.T) {
	got, err := parse([]string{"-server", "IP:cache:9001"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if joined(got.listen) != "UNIX:/tmp/scache" || joined(got.servers) != "IP:cache:9001" || len(got.admin) > 0 {
		t.Errorf("listens on %v, asks %v, admin on %v", got.listen, got.servers, got.admin)
	}
	if got.retry != 5*time.Second || got.timeout != 3*time.Second || got.idle != 0 || got.minTimeout != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestEveryFlag(t *testing.T) {
	got, err := parse(strings.Fields(`-listen UNIX:/a -listen IP:9001 -server IP:a:1,UNIX:/b -server IP:[::1]:2
		-retry 1 -idle 60000 -timeout 900ms -mintimeout 300000 -admin UNIX:/x -admin IP:127.0.0.1:9100
		-pidfile /p -killable -log-format json -log-level error`), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if joined(got.listen) != "UNIX:/a IP:9001" || joined(got.admin) != "UNIX:/x IP:127.0.0.1:9100" {
		t.Errorf("listens on %v and %v", got.listen, got.admin)
	}
	if joined(got.servers) != "IP:a:1 UNIX:/b IP:[::1]:2" {
		t.Errorf("servers are %v: their order is that of preference", got.servers)
	}
	if got.retry != time.Millisecond || got.idle != time.Minute || got.timeout != 900*time.Millisecond ||
		got.minTimeout != 5*time.Minute {
		t.Errorf("got %+v", got)
	}
}

func TestFromEnvironmentAndFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dc_client.conf")
	if err := os.WriteFile(path, []byte("server IP:a:1, IP:b:2\nserver UNIX:/c\nretry 7\nidle 9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DC_CLIENT_CONFIG", path)
	t.Setenv("DC_CLIENT_RETRY", "8")
	got, err := parse([]string{"-idle", "10"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if joined(got.servers) != "IP:a:1 IP:b:2 UNIX:/c" || got.retry != 8*time.Millisecond ||
		got.idle != 10*time.Millisecond {
		t.Errorf("got %+v", got)
	}
}

// The first source that names servers has all of them, under whichever of the two names.
func TestServersFromOneSource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dc_client.conf")
	if err := os.WriteFile(path, []byte("connect IP:file:1\nserver IP:file:2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, env, want string }{
		{"-server IP:a:1 -connect IP:b:2", "IP:env:1", "IP:a:1 IP:b:2"},
		{"-connect IP:a:1 -connect IP:b:2", "IP:env:1", "IP:a:1 IP:b:2"},
		{"-config " + path, "IP:env:1", "IP:env:1"},
		{"-config " + path, "", "IP:file:1 IP:file:2"},
		{"-server IP:a:1 -config " + path, "", "IP:a:1"},
	} {
		t.Setenv("DC_CLIENT_CONNECT", test.env)
		got, err := parse(strings.Fields(test.args), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if joined(got.servers) != test.want {
			t.Errorf("%s with %q in the environment: servers are %v, want %s", test.args, test.env, got.servers, test.want)
		}
	}
}

func TestBadFlags(t *testing.T) {
	const ok = "-server IP:a:1 "
	for args, want := range map[string]string{
		"":                     "-server is needed: the dc_server to ask, such as -server IP:cache1:9001",
		ok + "word":            `unexpected argument "word": settings are given as -flag value`,
		"-server IP:9001":      "-server IP:9001 names no host to connect to: it takes IP:HOST:PORT",
		"-server IP::9001":     "-server IP:9001 names no host to connect to: it takes IP:HOST:PORT",
		ok + "-connect IPv4:9": "-server IPv4:9 names no host to connect to: it takes IP:HOST:PORT",
		"-server IP:cache:0":   `-server: address "IP:cache:0": port 0 is none to connect to`,
		ok + "-server IP:localhost:2 -listen IP:2": "-server IP:localhost:2 is what -listen says, IP:2: it would ask itself",
		"-server UNIX:/tmp/scache": "-server UNIX:/tmp/scache is what -listen says, UNIX:/tmp/scache: it " +
			"would ask itself",
		"-server IP:a:1,IP:b:1 -connect IP:a:1": "-server IP:a:1 is given twice",
		ok + "-listen IP:9 -admin IP:9": "-listen IP:9 and -admin IP:9 are the same place: each needs one of " +
			"its own",
		ok + "-retry 0":         `-retry takes a number of milliseconds from 1 to 3600000, not "0"`,
		ok + "-retry 3600001":   `-retry takes a number of milliseconds from 1 to 3600000, not "3600001"`,
		ok + "-idle -1":         `-idle takes a number of milliseconds from 0 to 31536000000, not "-1"`,
		ok + "-timeout 0s":      `-timeout takes a duration above 0 such as 2s or 500ms, not "0s"`,
		ok + "-mintimeout soon": `-mintimeout takes a number of milliseconds from 0 to 604800000, not "soon"`,
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		if err == nil || err.Error() != want {
			t.Errorf("%q: got  %v\nwant %s", args, err, want)
			continue
		}
		if code := config.Exit(program, err, io.Discard); code != 2 {
			t.Errorf("%q: exit status %d", args, code)
		}
	}
}

func TestUsage(t *testing.T) {
	var out bytes.Buffer
	if _, err := parse([]string{"-?"}, &out); !errors.Is(err, config.ErrDone) {
		t.Fatal(err)
	}
	for _, name := range []string{
		"listen", "server", "connect", "retry", "idle", "timeout", "mintimeout", "admin", "daemon", "pidfile", "user",
		"killable",
		"sockowner", "sockgroup", "sockperms", "log-format", "log-level", "config", "version", "h, -help, -?",
	} {
		if !strings.Contains(out.String(), "\n  -"+name) {
			t.Errorf("usage has no -%s", name)
		}
	}
}
