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
	"github.com/distcache/distcache/raftstore"
)

func TestDefaults(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse([]string{"-listen", "IP:127.0.0.1:9001"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.listen) != 1 || got.listen[0].String() != "IP:127.0.0.1:9001" {
		t.Errorf("listens on %v", got.listen)
	}
	if len(got.admin) != 1 || got.admin[0].String() != "UNIX:./distcache-data/admin.sock" {
		t.Errorf("dc_admin connects to %v", got.admin)
	}
	got.listen, got.admin, got.daemon, got.tls = nil, nil, nil, nil
	want := &options{timeout: 2 * time.Second, sessions: 1000000, data: "./distcache-data", node: host}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestEveryFlag(t *testing.T) {
	got, err := parse(strings.Fields(`-listen IP:9001 -listen UNIX:/a -timeout 500ms -mintimeout 300000 -progress 100
		-sessions 5 -data /d -reads local -raft-log wal -node n2 -peer :7001 -advertise h:7002 -join a:1,b:2 -admin UNIX:/x -admin IP:127.0.0.1:9100
		-log-format json -log-level error -insecure-peer -open-joins -seal /k -core-dumps`), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.listen) != 2 || len(got.admin) != 2 {
		t.Errorf("listens on %v and %v", got.listen, got.admin)
	}
	got.listen, got.admin, got.daemon, got.tls = nil, nil, nil, nil
	want := &options{
		timeout: 500 * time.Millisecond, minTimeout: 5 * time.Minute, progress: 100,
		sessions: 5, data: "/d", reads: raftstore.ReadLocal, raftLog: raftstore.LogWAL,
		node: "n2", peer: ":7001", advertise: "h:7002", join: []string{"a:1", "b:2"},
		insecurePeer: true, openJoins: true, seal: "/k", coreDumps: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestFromEnvironmentAndFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dc_server.conf")
	text := "# three nodes\nlisten IP:9001\nlisten UNIX:/run/dc.sock\ncluster n1=h1:1\ncluster n2=h2:2, " +
		"n3=h3:3\nsessions 7\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DC_SERVER_CONFIG", path)
	t.Setenv("DC_SERVER_NODE", "n2")
	t.Setenv("DC_SERVER_SESSIONS", "8")
	t.Setenv("DC_SERVER_INSECURE_PEER", "yes")
	got, err := parse([]string{"-timeout", "1s"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cluster := []raftstore.Node{{Name: "n1", Address: "h1:1"}, {Name: "n2", Address: "h2:2"},
		{Name: "n3", Address: "h3:3"}}
	if len(got.listen) != 2 || got.node != "n2" || got.sessions != 8 || got.timeout != time.Second ||
		!reflect.DeepEqual(got.cluster, cluster) {
		t.Errorf("got %+v", got)
	}
}

// A node whose host is called differently than before, as every new container is, has the name of its data directory.
func TestNameOfTheDataDirectory(t *testing.T) {
	dir := t.TempDir()
	node, err := raftstore.Open(raftstore.Config{Dir: dir, Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	node.Close()
	args := []string{"-listen", "IP:9001", "-data", dir, "-insecure-peer"}
	for want, more := range map[string][]string{
		"other": {"-cluster", "n1=h1:1,other=h2:2"},
		"n1":    {"-cluster", "n1=h1:1,other=h2:2", "-node", "n1"}, // which Open refuses
	} {
		if got, err := parse(append(args, more...), io.Discard); err != nil || got.node != want {
			t.Errorf("%q: got %+v, %v", more, got, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "node.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, refuses(t, args...), statusForGood, "is not readable as a node's identity")
}

func TestPlace(t *testing.T) {
	const cluster = " -cluster n1=h1:1,n2=h2:2"
	for args, want := range map[string][2]string{ // peer, advertise
		"":                                   {"", ""},
		"-peer h:1":                          {"h:1", "h:1"},
		"-peer [::1]:1":                      {"[::1]:1", "[::1]:1"},
		"-peer :1 -advertise h:2":            {":1", "h:2"},
		"-node n2" + cluster:                 {"h2:2", "h2:2"},
		"-node n2 -peer :9" + cluster:        {":9", "h2:2"},
		"-node n1 -advertise h1:1" + cluster: {"h1:1", "h1:1"},
	} {
		got, err := parse(append(strings.Fields(args), "-listen", "IP:9001", "-insecure-peer"), io.Discard)
		if err != nil {
			t.Errorf("%q: %v", args, err)
		} else if got.peer != want[0] || got.advertise != want[1] {
			t.Errorf("%q: peer %q, advertised %q", args, got.peer, got.advertise)
		}
	}
}

// All nodes may have the same list after -join.
func TestJoinLeavesItselfOut(t *testing.T) {
	args := []string{"-listen", "IP:9001", "-peer", "h2:1", "-join", "h1:1,h2:1,h3:1", "-insecure-peer"}
	if _, err := parse(args, io.Discard); err != nil {
		t.Fatal(err)
	}
}

func TestMemory(t *testing.T) {
	got, err := parse([]string{"-listen", "IP:9001", "-memory"}, io.Discard)
	if err != nil || len(got.admin) > 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestBadFlags(t *testing.T) {
	const (
		ok     = "-listen IP:9001 "
		names  = "-node n9 -cluster n1=h1:1,n2=h2:2"
		itself = " is this node's own address: it takes that of another node, a member of the cluster; the first node of " +
			"a new cluster starts without it"
		memory = " don't go together: with -memory nothing is kept on disk or on other nodes"
	)
	for args, want := range map[string]string{
		"": "-listen is needed: where clients connect, such as -listen IP:127.0.0.1:9001 " +
			"or -listen UNIX:/run/distcache.sock",
		ok + "word":        `unexpected argument "word": settings are given as -flag value`,
		ok + "-colour red": "unknown flag -colour",
		"-listen": "-listen needs a value: it takes an address such as IP:127.0.0.1:9001, IP:9001, " +
			"TLS:host:9001 or UNIX:/path",
		ok + "-peer 10.0.0.1:1": "-peer: 10.0.0.1:1 can be reached from other machines, and without certificates anybody " +
			"who reaches it can read and change every session",
		"-listen TLS:9001": "-listen TLS:9001 needs a certificate: give -certs DIR, a directory that " +
			"\"dc_admin certs new\" has made",
		ok + "-timeout 2":            `-timeout takes a duration above 0 such as 2s or 500ms, not "2"`,
		ok + "-mintimeout 604800001": `-mintimeout takes a number of milliseconds from 0 to 604800000, not "604800001"`,
		ok + "-mintimeout 1s":        `-mintimeout takes a number of milliseconds from 0 to 604800000, not "1s"`,
		ok + "-sessions -1":          `-sessions takes a whole number, 0 or more, not "-1"`,
		ok + "-progress many":        `-progress takes a whole number, 0 or more, not "many"`,
		ok + "-data=":                `-data takes the path of a directory, not ""`,
		ok + "-node=":                `-node takes a name, not ""`,
		ok + "-reads stale":          `-reads takes linearizable, leader or local, not "stale"`,
		ok + "-raft-log boltdb":      `-raft-log takes bolt or wal, not "boltdb"`,
		ok + "-peer h":               `-peer takes HOST:PORT such as 10.0.0.1:7001 or :7001: "h": missing port in address`,
		ok + "-peer :7001": "-peer :7001 names no host that others could connect to: give one with " +
			"-advertise HOST:PORT",
		ok + "-peer 0.0.0.0:7001": "-peer 0.0.0.0:7001 names no host that others could connect to: give one with " +
			"-advertise HOST:PORT",
		ok + "-peer [::]:7001": "-peer [::]:7001 names no host that others could connect to: give one with " +
			"-advertise HOST:PORT",
		ok + "-peer :1 -advertise [::]:1": "-advertise [::]:1 names no host that others could connect to",
		ok + "-advertise :7001":           `-advertise takes HOST:PORT such as 10.0.0.1:7001: ":7001" names no host`,
		ok + "-advertise h:7001":          "-advertise needs -peer: the address that this node listens on for the others",
		ok + "-join h:7001":               "-join needs -peer: the address, HOST:PORT, where the cluster reaches this node",
		ok + "-peer h:1 -join h": `-join takes HOST:PORT, or several with commas between them: "h": missing port ` +
			`in address`,
		ok + "-peer h:1 -join H:1": "-join: H:1" + itself,
		ok + "-peer :1 -advertise 10.0.0.1:1 -join 10.0.0.1:1,[::ffff:10.0.0.1]:1": "-join: 10.0.0.1:1,[::ffff:10.0.0.1]:1" +
			itself,
		ok + "-cluster n1": `-cluster takes NAME=HOST:PORT of every node, with commas between them: "n1" is not ` +
			`NAME=HOST:PORT`,
		ok + "-cluster =h:1": `-cluster takes NAME=HOST:PORT of every node, with commas between them: "=h:1" is not ` +
			`NAME=HOST:PORT`,
		ok + "-cluster n1=h": `-cluster takes NAME=HOST:PORT of every node, with commas between them: node n1: "h": ` +
			`missing port in address`,
		ok + names: "-cluster lists n1, n2, but not this node, which is called n9: give -node one of those " +
			"names",
		ok + "-join h:1 " + names: "-cluster and -join don't go together: a node starts with its cluster, or joins an " +
			"existing one",
		ok + "-node n1 -cluster n1=h1:1,n2=h2:2 -advertise h:1": "-advertise h:1 is not the address that -cluster has for " +
			"this node, h1:1",
		ok + "-admin h:1": `-admin takes an address such as IP:127.0.0.1:9001, IP:9001, TLS:host:9001 or UNIX:/path: address "h:1": ` +
			`unknown kind "h": it must begin with IP:, IPv4:, IPv6:, TLS:, UNIX: or FD:`,
		ok + "-listen IP:9001": "-listen IP:9001 is given twice",
		ok + "-admin IP:127.0.0.1:9001": "-listen IP:9001 and -admin IP:127.0.0.1:9001 are the same place: each " +
			"needs one of its own",
		ok + "-peer 127.0.0.1:9001": "-listen IP:9001 and -peer 127.0.0.1:9001 are the same place: each " +
			"needs one of its own",
		ok + "-memory -admin IP:9001": "-listen IP:9001 and -admin IP:9001 are the same place: each needs one " +
			"of its own",
		ok + "-node n:1": "-node: a node's name is 1 to 64 letters, digits, '.', '_' and '-', not " +
			"\"n:1\"",
		ok + "-node n1 -cluster n1=h1:1,n1=h2:2": "-cluster: two nodes are called n1",
		ok + "-node n1 -cluster n1=h1:1,n2=h1:1": "-cluster: two nodes have the address h1:1",
		ok + "-log-format xml":                   `-log-format takes text or json, not "xml"`,
		ok + "-log-level loud":                   `-log-level takes debug, info, warn or error, not "loud"`,
		ok + "-memory -data d":                   "-memory and -data" + memory,
		ok + "-memory -raft-log wal":             "-memory and -raft-log" + memory,
		ok + "-memory -peer h:1":                 "-memory and -peer" + memory,
		ok + "-memory -advertise h:1":            "-memory and -advertise" + memory,
		ok + "-memory " + names:                  "-memory and -cluster" + memory,
		ok + "-memory -join h:1":                 "-memory and -join" + memory,
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		if err == nil {
			t.Errorf("%q: no error", args)
			continue
		}
		if err.Error() != want {
			t.Errorf("%q: got  %s\nwant %s", args, err, want)
		}
		if code := config.Exit(program, err, io.Discard); code != 2 {
			t.Errorf("%q: exit status %d", args, code)
		}
	}
}

// An address over IP, where nothing can be changed, leaves dc_admin its socket; a socket that is given takes its place.
func TestAdminAddresses(t *testing.T) {
	long := "/" + strings.Repeat("x", 200)
	for args, want := range map[string]string{
		"-data /d":                               "UNIX:/d/admin.sock",
		"-data /d -admin IP:127.0.0.1:1":         "IP:127.0.0.1:1 UNIX:/d/admin.sock",
		"-data /d -admin IPv4:h:1 -admin IP:2":   "IPv4:h:1 IP:2 UNIX:/d/admin.sock",
		"-data /d -admin UNIX:/x":                "UNIX:/x",
		"-data /d -admin UNIX:/x -admin IP:1":    "UNIX:/x IP:1",
		"-data /d -admin FD:3":                   "FD:3",
		"-data " + long + " -admin IP:1":         "IP:1",
		"-memory -admin IP:1":                    "IP:1",
		"-data /d -admin UNIX:/d/admin.sock":     "UNIX:/d/admin.sock",
		"-data /d -admin IP:1 -admin UNIX:/x/ad": "IP:1 UNIX:/x/ad",
	} {
		got, err := parse(append(strings.Fields(args), "-listen", "IP:9001"), io.Discard)
		if err != nil {
			t.Errorf("%q: %v", args, err)
			continue
		}
		var at []string
		for _, a := range got.admin {
			at = append(at, a.String())
		}
		if s := strings.Join(at, " "); s != want {
			t.Errorf("%q: dc_admin connects to %s, want %s", args, s, want)
		}
	}
}

func TestLongDataDirectory(t *testing.T) {
	_, err := parse([]string{"-listen", "IP:9001", "-data", "/" + strings.Repeat("x", 200)}, io.Discard)
	if err == nil || !strings.HasPrefix(err.Error(), "-admin is needed, since the admin socket cannot be in that data directory") {
		t.Errorf("got %v", err)
	}
}

func TestExplain(t *testing.T) {
	opts := defaults()
	var usage *config.UsageError
	if err := opts.explain(&raftstore.ConfigError{Setting: "Name", Problem: "is odd"}); err.Error() != "-node: is odd" ||
		!errors.As(err, &usage) {
		t.Errorf("got %v", err)
	}
	if err := opts.explain(&raftstore.ConfigError{Setting: "BatchBytes",
		Problem: "is odd"}); err.Error() != "BatchBytes: is odd" || !errors.As(err, &usage) {
		t.Errorf("got %v", err)
	}
	if err := opts.explain(io.ErrUnexpectedEOF); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v", err)
	}
}

func TestUsage(t *testing.T) {
	var out bytes.Buffer
	if _, err := parse([]string{"-?"}, &out); !errors.Is(err, config.ErrDone) {
		t.Fatal(err)
	}
	defaults().flags() // every flag is in it
	for _, name := range []string{
		"listen", "timeout", "mintimeout", "progress", "sessions", "data", "memory", "reads", "raft-log", "node", "peer",
		"advertise",
		"cluster", "join", "admin", "log-format", "log-level", "config", "version", "h, -help, -?",
	} {
		if !strings.Contains(out.String(), "\n  -"+name) {
			t.Errorf("usage has no -%s", name)
		}
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if len([]rune(line)) > 110 {
			t.Errorf("a line of usage is long: %s", line)
		}
	}
}
