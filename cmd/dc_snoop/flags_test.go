package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/snoop"
	"github.com/distcache/distcache/wire"
)

const needed = "-listen UNIX:/tmp/scache -server IP:localhost:9001 "

func TestDefaults(t *testing.T) {
	got, err := parse(strings.Fields(needed), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.listen) != 1 || got.listen[0].String() != "UNIX:/tmp/scache" ||
		got.server[0].String() != "IP:localhost:9001" {
		t.Errorf("got %v and %v", got.listen, got.server)
	}
	if want := (snoop.Config{Format: snoop.Text, Interval: 10 * time.Second}); !reflect.DeepEqual(got.snoop, want) {
		t.Errorf("got %+v, want %+v", got.snoop, want)
	}
}

func TestEveryFlag(t *testing.T) {
	got, err := parse(strings.Fields(`-listen IP:9001 -listen UNIX:/a -connect UNIX:/b -format json -op ADD,get -op add -id 3031ff..
		-quiet -stats -interval 90 -data -log-format json -log-level error`), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.listen) != 2 || got.server[0].String() != "UNIX:/b" {
		t.Errorf("got %v and %v", got.listen, got.server)
	}
	want := snoop.Config{
		Format: snoop.JSON, Ops: []wire.Op{wire.OpAdd, wire.OpGet}, IDPrefix: []byte("01\xff"),
		Quiet: true, Stats: true, Interval: 90 * time.Second, Data: true,
	}
	if !reflect.DeepEqual(got.snoop, want) {
		t.Errorf("got %+v, want %+v", got.snoop, want)
	}
}

func TestServerFromAllSources(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dc_snoop.conf")
	if err := os.WriteFile(path, []byte("server IP:file:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, env, want string }{
		{"-connect IP:flag:1", "IP:env:1", "IP:flag:1"},
		{"-server IP:flag:1", "IP:env:1", "IP:flag:1"},
		{"", "IP:env:1", "IP:env:1"},
		{"", "", "IP:file:1"},
	} {
		t.Setenv("DC_SNOOP_CONNECT", test.env)
		got, err := parse(strings.Fields("-listen IP:9001 -config "+path+" "+test.args), io.Discard)
		if err != nil || got.server[0].String() != test.want {
			t.Errorf("%+v: got %v, %v", test, got, err)
		}
	}
}

func TestIntervalForms(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "5": 5 * time.Second, "1m30s": 90 * time.Second,
		"250ms": time.Second / 4} {
		got, err := parse(strings.Fields(needed+"-stats -interval "+text), io.Discard)
		if err != nil || got.snoop.Interval != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
}

// An interval that stands in the environment is for when there is -stats.
func TestIntervalFromEnvironment(t *testing.T) {
	t.Setenv("DC_SNOOP_INTERVAL", "5")
	for _, more := range []string{"", "-stats"} {
		if got, err := parse(strings.Fields(needed+more), io.Discard); err != nil || got.snoop.Interval != 5*time.Second {
			t.Errorf("%q: got %+v, %v", more, got, err)
		}
	}
}

func TestBadFlags(t *testing.T) {
	const id = "-id takes the beginning of a session id, in pairs of hex digits: "
	for args, want := range map[string]string{
		"": "-listen is needed: where clients connect, such as -listen " +
			"UNIX:/tmp/scache",
		"-listen IP:9001": "-server is needed: where clients are passed on to, such as " +
			"-server IP:localhost:9001",
		"-listen UNIX:/a -server IP:9001": `-server: address "IP:9001": it names no host to connect to; it is for listening`,
		"-listen IP:9001 -server 1": `-server takes an address such as IP:127.0.0.1:9001, IP:9001, TLS:host:9001 or UNIX:/path: ` +
			`address "1": it must begin with IP:, IPv4:, IPv6:, TLS:, UNIX: or FD:`,
		needed + "-server IP:other:9001": "-server is given 2 times: dc_snoop passes all connections on to " +
			"one server; dc_client takes several",
		needed + "-connect IP:other:9001": "-server is given 2 times: dc_snoop passes all connections on to " +
			"one server; dc_client takes several",
		"-listen UNIX:/a -server UNIX:/a": "-server UNIX:/a is what -listen says, UNIX:/a: it would ask " +
			"itself",
		needed + "word": `unexpected argument "word": settings are given as -flag value`,
		needed + "-op PUT": `-op takes operations: add, get, remove or have: there is no ` +
			`operation "PUT"`,
		needed + "-id 303":                         id + `"303" has an odd number of digits`,
		needed + "-id xy":                          id + `"xy" is not hex`,
		needed + "-id ..":                          id + "there are no digits",
		needed + "-id " + strings.Repeat("00", 65): id + "65 bytes are longer than any id, which has at most 64",
		needed + "-interval 5":                     "-interval needs -stats",
		needed + "-stats -interval -1s": `-interval takes a number of seconds, or a duration such as ` +
			`1m30s; 0 is only at the end: not "-1s"`,
		needed + "-stats -interval 18446744073709551615": `-interval takes a number of seconds, or a duration such as ` +
			`1m30s; 0 is only at the end: not "18446744073709551615"`,
		needed + "-format xml": `-format takes text or json, not "xml"`,
		strings.Replace(needed, "UNIX:/tmp/scache", "UNIX:", 1) + " ": "-listen takes an address such as " +
			"IP:127.0.0.1:9001, IP:9001, TLS:host:9001 or UNIX:/path: address \"UNIX:\": the path is missing: UNIX:/path",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		if err == nil || err.Error() != want || config.Exit(program, err, io.Discard) != 2 {
			t.Errorf("%q: got %v, want %s", args, err, want)
		}
	}
}

func TestHelpWarnsOfSecrets(t *testing.T) {
	for _, ask := range []string{"-h", "-help", "-?"} {
		var out bytes.Buffer
		if _, err := parse([]string{ask}, &out); !errors.Is(err, config.ErrDone) {
			t.Error(err)
		}
		for _, want := range []string{"usage: dc_snoop ", "-data ", "secrets", "DC_SNOOP_LISTEN"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s does not say %q", ask, want)
			}
		}
	}
}
