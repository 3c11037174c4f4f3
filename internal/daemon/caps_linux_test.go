package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distcache/distcache/internal/testutil"
)

// The process that removes files for a daemon which is not root any more has, in all of its threads, no more of root's
// capabilities than that needs.
func TestRemoverHasTwoCapabilities(t *testing.T) {
	needRoot(t)
	dir := testutil.ShortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := startTestd(t, dir, "-user", "nobody", "-pidfile", "run.pid", "-sockperms", "666")
	const want = "000000000000000a" // DAC_OVERRIDE and FOWNER
	var remover string
	testutil.Eventually(t, "the remover runs", func() bool {
		stats, _ := filepath.Glob("/proc/[0-9]*/status")
		for _, path := range stats {
			b, _ := os.ReadFile(path)
			if strings.HasPrefix(string(b), "Name:\tdc-remover\n") && strings.Contains(string(b), fmt.Sprintf("\nPPid:\t%d\n", cmd.Process.Pid)) {
				remover = filepath.Dir(path)
			}
		}
		return remover != ""
	})
	threads, err := filepath.Glob(remover + "/task/*/status")
	if err != nil || len(threads) == 0 {
		t.Fatal(threads, err)
	}
	for _, path := range threads {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			if (name == "CapEff" || name == "CapPrm" || name == "CapBnd") && value != want {
				t.Errorf("%s is %s, want %s", name, value, want)
			}
		}
	}
}
