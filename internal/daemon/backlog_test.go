package daemon

import (
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/distcache/distcache/internal/config"
)

// A gate is an output that takes nothing while it is closed.
type gate struct {
	open chan struct{}
	mu   sync.Mutex
	text strings.Builder
}

func (g *gate) Write(b []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(b)
}

func (g *gate) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

func testLog(t *testing.T, w io.Writer) *slog.Logger {
	t.Helper()
	set := config.New("testd", "")
	o := Flags(set)
	if _, err := set.Parse(nil, nil); err != nil {
		t.Fatal(err)
	}
	out, err := o.openLog("testd", w, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out.logger()
}

// Who logs goes on when the output is stuck. What was logged meanwhile comes when it no longer is, up to a limit.
func TestStuckLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		log := testLog(t, g)
		const many = 2 * maxBacklog / 1000
		for i := range many {
			log.Info("line", "n", i, "pad", strings.Repeat("x", 1000))
		}
		close(g.open)
		synctest.Wait()
		got := strings.Count(g.String(), "msg=line ")
		if got < many/4 || got > many*3/4 {
			t.Errorf("%d lines of %d were kept, want about half", got, many)
		}
		lines := strings.Split(strings.TrimSpace(g.String()), "\n")
		if last := lines[len(lines)-1]; !strings.Contains(last, "log lines were left out") {
			t.Errorf("the last line is %q", last)
		}
		log.Info("after")
		if !strings.Contains(g.String(), "msg=after") {
			t.Error("a line is not there when it has been logged")
		}
	})
}
