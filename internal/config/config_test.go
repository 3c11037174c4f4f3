package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// settings is a tool's worth of flags, one of each kind.
type settings struct {
	Wait  time.Duration
	Least time.Duration
	Count uint64
	Dir   string
	Quiet bool
	Mode  string
	Peer  string
	Join  []string
}

func newSettings() (*settings, *Set) {
	got := &settings{Wait: 2 * time.Second, Count: 10, Mode: "slow"}
	s := New("dc_tool", "usage: dc_tool [flags]\n\nA tool for this test.")
	s.Group("Work")
	s.Duration(&got.Wait, "wait", "how long to wait")
	s.Millis(&got.Least, 0, time.Second, "least", "the least")
	s.Uint64(&got.Count, 1<<20, "count", "how many")
	s.Choice(&got.Mode, []string{"slow", "quick", "both"}, "mode", "how")
	s.Group("Places")
	s.String(&got.Dir, "dir", "DIR", "the path of a directory", "where")
	s.HostPort(&got.Peer, true, "peer-at", "the other one")
	s.HostPorts(&got.Join, "join", "the others; this text is long so that it has to go on in the second line of its column, and then in a third, because there is so much of it to be read by those who want to know")
	s.Group("Rest")
	s.Bool(&got.Quiet, "quiet", "say nothing")
	s.Logging()
	s.File()
	return got, s
}

func TestParse(t *testing.T) {
	base := settings{Wait: 2 * time.Second, Count: 10, Mode: "slow"}
	with := func(change func(*settings)) settings {
		want := base
		change(&want)
		return want
	}
	tests := []struct {
		name     string
		args     string
		env      map[string]string
		file     string
		want     settings
		operands []string
	}{
		{name: "defaults", want: base},
		{
			name: "flags", args: "-wait 3s --count=7 -quiet -mode quick -least 20 -peer-at :7001 -dir /tmp/x",
			want: settings{
				Wait: 3 * time.Second, Least: 20 * time.Millisecond, Count: 7, Mode: "quick", Quiet: true,
				Peer: ":7001", Dir: "/tmp/x",
			},
		},
		{name: "mixed with operands", args: "join -quiet a -count 3 b -- -c", operands: []string{"join", "a", "b", "-c"},
			want: with(func(s *settings) { s.Quiet, s.Count = true, 3 })},
		{name: "a single dash is an operand", args: "-", operands: []string{"-"}, want: base},
		{name: "repeated and listed", args: "-join a:1,b:2 -join c:3",
			want: with(func(s *settings) { s.Join = []string{"a:1", "b:2", "c:3"} })},
		{name: "environment", env: map[string]string{"DC_TOOL_PEER_AT": "h:1", "DC_TOOL_QUIET": "yes", "DC_TOOL_JOIN": "a:1\n b:2, [::1]:3"},
			want: with(func(s *settings) { s.Peer, s.Quiet, s.Join = "h:1", true, []string{"a:1", "b:2", "[::1]:3"} })},
		{name: "a flag beats the environment", args: "-join a:1 -quiet=false", env: map[string]string{"DC_TOOL_JOIN": "b:2", "DC_TOOL_QUIET": "1"},
			want: with(func(s *settings) { s.Join = []string{"a:1"} })},
		{name: "file", file: "# a comment\n\nwait\t5s\n  count = 4\nmode=quick\nquiet\ndir /with spaces = fine\njoin a:1\njoin b:2 c:3\n",
			want: settings{
				Wait: 5 * time.Second, Count: 4, Mode: "quick", Quiet: true, Dir: "/with spaces = fine",
				Join: []string{"a:1", "b:2", "c:3"},
			}},
		{name: "the environment beats the file", file: "count 4\nwait 1s\n", env: map[string]string{"DC_TOOL_COUNT": "5"},
			want: with(func(s *settings) { s.Count, s.Wait = 5, time.Second })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, val := range test.env {
				t.Setenv(name, val)
			}
			args := strings.Fields(test.args)
			if test.file != "" {
				args = append(args, "-config", writeFile(t, test.file))
			}
			got, set := newSettings()
			operands, err := set.Parse(args, new(bytes.Buffer))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, test.want) {
				t.Errorf("got %+v, want %+v", *got, test.want)
			}
			if !reflect.DeepEqual(operands, test.operands) {
				t.Errorf("operands are %q, want %q", operands, test.operands)
			}
		})
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMistakes(t *testing.T) {
	tests := []struct {
		name string
		args string
		env  map[string]string
		file string
		want string // FILE stands for the file's path
	}{
		{name: "unknown flag", args: "-colour red", want: "unknown flag -colour"},
		{name: "no value", args: "-wait", want: "-wait needs a value: it takes a duration above 0 such as 2s or 500ms"},
		{name: "duration", args: "-wait soon", want: `-wait takes a duration above 0 such as 2s or 500ms, not "soon"`},
		{name: "no time at all", args: "-wait 0s", want: `-wait takes a duration above 0 such as 2s or 500ms, not "0s"`},
		{name: "range", args: "-least 1001", want: `-least takes a number of milliseconds from 0 to 1000, not "1001"`},
		{name: "number", args: "-count -1", want: `-count takes a whole number from 0 to 1048576, not "-1"`},
		{name: "choice", args: "-mode other", want: `-mode takes slow, quick or both, not "other"`},
		{name: "bool", args: "-quiet=maybe", want: `-quiet takes true or false, not "maybe"`},
		{name: "empty text", args: "-dir=", want: `-dir takes the path of a directory, not ""`},
		{name: "no port", args: "-peer-at host", want: `-peer-at takes HOST:PORT such as 10.0.0.1:7001 or :7001: "host": missing port in address`},
		{name: "port", args: "-peer-at host:http", want: `-peer-at takes HOST:PORT such as 10.0.0.1:7001 or :7001: "host:http": the port is a number from 1 to 65535`},
		{name: "port 0", args: "-join host:0", want: `-join takes HOST:PORT, or several with commas between them: "host:0": the port is a number from 1 to 65535`},
		{name: "no host", args: "-join a:1,:2", want: `-join takes HOST:PORT, or several with commas between them: ":2" names no host`},
		{name: "odd host", args: "-join http://a:1", want: `-join takes HOST:PORT, or several with commas between them: "http://a:1": too many colons in address`},
		{name: "no hosts", args: "-join ,", want: `-join takes HOST:PORT, or several with commas between them, not ","`},
		{name: "the first mistake counts", args: "-wait x -count y", want: `-wait takes a duration above 0 such as 2s or 500ms, not "x"`},
		{name: "environment", env: map[string]string{"DC_TOOL_PEER_AT": "h"},
			want: `in the environment, DC_TOOL_PEER_AT: -peer-at takes HOST:PORT such as 10.0.0.1:7001 or :7001: "h": missing port in address`},
		{name: "file", file: "\nwait x\n", want: `FILE:2: -wait takes a duration above 0 such as 2s or 500ms, not "x"`},
		{name: "unknown setting", file: "colour red\n", want: `FILE:1: there is no setting "colour": a setting is a flag's name without the dash`},
		{name: "unfinished setting", file: "wait\n", want: `FILE:1: wait needs a value: it takes a duration above 0 such as 2s or 500ms`},
		{name: "file in file", file: "config other\n", want: `FILE:1: a file of settings cannot name another`},
		{name: "twice in a file", file: "count 3\njoin a:1\njoin b:2\ncount 4\n", want: `FILE:4: count is there twice: line 1 has it too`},
		{name: "no file", args: "-config /nonexistent/settings", want: "-config: there is no file /nonexistent/settings"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, val := range test.env {
				t.Setenv(name, val)
			}
			args := strings.Fields(test.args)
			path := ""
			if test.file != "" {
				path = writeFile(t, test.file)
				args = append(args, "-config", path)
			}
			_, set := newSettings()
			_, err := set.Parse(args, new(bytes.Buffer))
			if err == nil {
				t.Fatal("no error")
			}
			if want := strings.ReplaceAll(test.want, "FILE", path); err.Error() != want {
				t.Errorf("got  %s\nwant %s", err, want)
			}
			var stderr bytes.Buffer
			if code := Exit("dc_tool", err, &stderr); code != 2 {
				t.Errorf("exit status %d, want 2", code)
			}
			if !strings.HasPrefix(stderr.String(), "dc_tool: "+err.Error()+"\n") {
				t.Errorf("stderr is %q", stderr.String())
			}
		})
	}
}

const wantUsage = `usage: dc_tool [flags]

A tool for this test.

Work:
  -wait DURATION          how long to wait (default 2s)
  -least MSECS            the least (default 0)
  -count N                how many (default 10)
  -mode slow|quick|both   how (default slow)

Places:
  -dir DIR                where
  -peer-at HOST:PORT      the other one
  -join HOST:PORT,…       the others; this text is long so that it has to go on in the second line
                          of its column, and then in a third, because there is so much of it to be
                          read by those who want to know

Rest:
  -quiet                  say nothing
  -log-format text|json   the form of the log (default text)
  -log-level debug|info|warn|error
                          the least that is logged (default info)
  -config FILE            read settings from this file: a flag's name without the dash, white space
                          or "=", its value; a line that begins with "#" is a comment

  -version                print the version
  -h, -help, -?           print this

A flag that is not given is looked for in the environment, there named like DC_TOOL_WAIT,
and then in the file that -config names.
`

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"--help"}, {"-?"}, {"-wait", "nonsense", "-unknown", "-h"}} {
		_, set := newSettings()
		var stdout bytes.Buffer
		_, err := set.Parse(args, &stdout)
		if !errors.Is(err, ErrDone) || Exit("dc_tool", err, nil) != 0 {
			t.Errorf("%q: %v", args, err)
		}
		if stdout.String() != wantUsage {
			t.Errorf("%q: got\n%swant\n%s", args, &stdout, wantUsage)
		}
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestHelpThatCannotBeWritten(t *testing.T) {
	for _, arg := range []string{"-h", "-version"} {
		_, set := newSettings()
		if _, err := set.Parse([]string{arg}, full{}); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	t.Setenv("DC_TOOL_WAIT", "3s")
	t.Setenv("DC_TOOL_WIAT", "3s")
	t.Setenv("DC_TOOL_CUONT", "3")
	t.Setenv("DC_TOOLBOX", "x")
	_, set := newSettings()
	if _, err := set.Parse(nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(set.UnknownVariables(), " "); got != "DC_TOOL_CUONT DC_TOOL_WIAT" {
		t.Errorf("got %s", got)
	}
}

func TestVersion(t *testing.T) {
	_, set := newSettings()
	var stdout bytes.Buffer
	if _, err := set.Parse([]string{"-version"}, &stdout); !errors.Is(err, ErrDone) {
		t.Error(err)
	}
	if !strings.HasPrefix(stdout.String(), "dc_tool ") || !strings.Contains(stdout.String(), "go1.") {
		t.Errorf("got %q", stdout.String())
	}
}

// What the Makefile says that a build is goes before what Go knows of it.
func TestRelease(t *testing.T) {
	if got := Release(); got == "" || strings.Contains(got, " ") {
		t.Errorf("got %q", got)
	}
	release = "1.2.3-4-gabcdef0"
	defer func() { release = "" }()
	if got := Version(); !strings.HasPrefix(got, "1.2.3-4-gabcdef0 (go1.") {
		t.Errorf("got %q", got)
	}
}

func TestGiven(t *testing.T) {
	t.Setenv("DC_TOOL_COUNT", "3")
	_, set := newSettings()
	if _, err := set.Parse([]string{"-quiet=false"}, nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"count": true, "quiet": true, "wait": false} {
		if got := set.Given(name); got != want {
			t.Errorf("Given(%q) is %v", name, got)
		}
	}
}

func TestExit(t *testing.T) {
	var stderr bytes.Buffer
	if code := Exit("dc_tool", errors.New("no luck"), &stderr); code != 1 || stderr.String() != "dc_tool: no luck\n" {
		t.Errorf("exit status %d, stderr %q", code, &stderr)
	}
	stderr.Reset()
	err := Hint(errors.New("no luck"), "Try again %s.", "later")
	if code := Exit("dc_tool", fmt.Errorf("wrapped: %w", err), &stderr); code != 1 || stderr.String() != "dc_tool: wrapped: no luck\nTry again later.\n" {
		t.Errorf("exit status %d, stderr %q", code, &stderr)
	}
	if err := fmt.Errorf("wrapped: %w", &StatusError{errors.New("no luck"), 3}); Exit("dc_tool", err, &stderr) != 3 || err.Error() != "wrapped: no luck" {
		t.Errorf("%v has another exit status than its own", err)
	}
	_, set := newSettings()
	if err := set.ParseFlags([]string{"-quiet", "word"}, nil); Exit("dc_tool", err, &stderr) != 2 {
		t.Error(err)
	}
	if err := set.ParseFlags([]string{"-quiet"}, nil); err != nil {
		t.Error(err)
	}
	if err := fmt.Errorf("wrapped: %w", ErrInterrupted); Exit("dc_tool", err, &stderr) != 130 {
		t.Error("an interruption has another exit status than a shell's")
	}
}

func TestLogging(t *testing.T) {
	set := New("dc_tool", "")
	logging := set.Logging()
	if _, err := set.Parse([]string{"-log-format", "json", "-log-level", "warn"}, nil); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := logging.Logger(&out)
	log.Info("unheard")
	log.Warn("heard")
	if got := out.String(); !strings.HasPrefix(got, "{") || !strings.Contains(got, `"msg":"heard"`) || strings.Contains(got, "unheard") {
		t.Errorf("got %s", got)
	}
}
