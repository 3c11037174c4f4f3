package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/distcache/distcache/internal/testutil"
)

func TestPIDFileOfARunningProcessIsAnError(t *testing.T) {
	other := exec.Command("sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer other.Process.Kill()
	dir := testutil.ShortDir(t)
	path := filepath.Join(dir, "run.pid")
	text := strconv.Itoa(other.Process.Pid) + "\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, how := range [][]string{nil, {"-daemon"}} {
		out, err := testd(t, dir, append(how, "-pidfile", path, "-listen", "UNIX:up.sock")...).CombinedOutput()
		if status(err) != 1 || !strings.Contains(string(out), "names process "+strings.TrimSpace(text)+" (sleep), which is running") {
			t.Errorf("with %v: status %d, said %q", how, status(err), out)
		}
	}
	if b, _ := os.ReadFile(path); string(b) != text {
		t.Errorf("the other process's file now holds %q", b)
	}
}

func TestStalePIDFileIsReplaced(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{strconv.Itoa(ended.Process.Pid), "", "\n"} {
		path := filepath.Join(t.TempDir(), "run.pid")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := takePIDFile(path)
		if err != nil {
			t.Errorf("over %q: %v", text, err)
			continue
		}
		if b, _ := os.ReadFile(path); string(b) != strconv.Itoa(os.Getpid())+"\n" {
			t.Errorf("it holds %q", b)
		}
		if err := p.remove(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Dir(path) + "/.*"); len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	}
}

func TestPIDFileIsNoOtherFile(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("a letter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(precious, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{precious: "holds no process id", link: "symbolic link", dir: "not a file"} {
		if _, err := takePIDFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if b, _ := os.ReadFile(precious); string(b) != "a letter\n" {
		t.Errorf("the file now holds %q", b)
	}
}

// Of several that come upon the same stale file, one gets it.
func TestPIDFileHasOneHolder(t *testing.T) {
	for _, before := range []string{"", "stale"} {
		path := filepath.Join(t.TempDir(), "run.pid")
		if before != "" {
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var held []*pidFile
		for range 8 {
			wg.Go(func() {
				if p, err := takePIDFile(path); err == nil {
					mu.Lock()
					held = append(held, p)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(held) != 1 {
			t.Errorf("%d hold the file", len(held))
		}
		for _, p := range held {
			p.remove()
		}
	}
}

func TestPIDFileOfAnotherIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.pid")
	p, err := takePIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
