// Package systemd holds the units against what the programs do.
package systemd

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A service is what a unit says of how its program is run, and when it is not started again.
type service struct {
	program string
	env     []string
	prevent []string // exit statuses
}

func parse(t *testing.T, unit string) (s service) {
	t.Helper()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key {
		case "ExecStart":
			s.program = filepath.Base(strings.Fields(value)[0])
		case "Environment":
			s.env = append(s.env, value)
		case "RestartPreventExitStatus":
			s.prevent = strings.Fields(value)
		}
	}
	if s.program == "" {
		t.Fatalf("%s starts nothing", unit)
	}
	return s
}

// startedAgain tells whether systemd would start the program again (Restart=on-failure).
func (s service) startedAgain(t *testing.T, err error) bool {
	t.Helper()
	var exit *exec.ExitError
	if err == nil {
		return false
	}
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for _, status := range s.prevent {
		if exit.Exited() && strconv.Itoa(exit.ExitCode()) == status {
			return false
		}
	}
	return true
}

// What systemd's watchdog ends (with SIGABRT, as a crash of Go's runtime does) is started again, and what has wrong
// settings is not.
func TestStartedAgain(t *testing.T) {
	for _, pattern := range []string{"../../cmd/*/*.go", "../../internal/*/*.go"} {
		sources, err := filepath.Glob(pattern)
		if err != nil || len(sources) == 0 {
			t.Fatalf("%d sources, %v", len(sources), err)
		}
		for _, source := range sources {
			_, _ = os.Stat(source) // so that go test does not take an old result for the new programs
		}
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/dc_server", "../../cmd/dc_client").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for unit, args := range map[string][]string{
		"dc_server.service": {"-memory"},
		"dc_client.service": {"-server", "UNIX:/nonexistent/socket"},
	} {
		t.Run(unit, func(t *testing.T) {
			s := parse(t, unit)
			command := func(args ...string) *exec.Cmd {
				cmd := exec.CommandContext(t.Context(), filepath.Join(bin, s.program), args...)
				cmd.Env = append(os.Environ(), s.env...)
				return cmd
			}
			if err := command("-nonsense").Run(); err == nil || s.startedAgain(t, err) {
				t.Errorf("with wrong settings: %v, and systemd tries again", err)
			}

			if s.program == "dc_server" {
				for what, err := range endings(t, command) {
					if err == nil || s.startedAgain(t, err) {
						t.Errorf("%s: %v, and systemd tries again", what, err)
					}
				}
			}

			cmd := command(append(args, "-listen", "UNIX:"+filepath.Join(t.TempDir(), "s"))...)
			log, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(log)
			for lines.Scan() && !strings.Contains(lines.Text(), "msg=started") {
			}
			if err := cmd.Process.Signal(syscall.SIGABRT); err != nil {
				t.Error(err)
			}
			for lines.Scan() {
			}
			if err := cmd.Wait(); !s.startedAgain(t, err) {
				t.Errorf("ended by the watchdog: %v, and systemd does not start it again", err)
			}
		})
	}
}

// endings are how a node ends that somebody has to see to before it can be started again.
func endings(t *testing.T, command func(...string) *exec.Cmd) map[string]error {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"-data", dir, "-listen", "FD:0:1"} // whose one client has gone: it ends by itself
	if out, err := command(append(args, "-node", "n1")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ends := map[string]error{"another node's directory": command(append(args, "-node", "n2")...).Run()}
	identity := filepath.Join(dir, "node.json")
	text, err := os.ReadFile(identity)
	if err != nil {
		t.Fatal(err)
	}
	for _, phase := range []string{"removed", "left"} {
		changed := strings.Replace(string(text), `"member"`, `"`+phase+`"`, 1)
		if changed == string(text) {
			t.Fatalf("no member: %s", text)
		}
		if err := os.WriteFile(identity, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		ends[phase] = command(append(args, "-node", "n1")...).Run()
	}
	return ends
}
