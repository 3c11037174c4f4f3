package server

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		log := newThrottle(slog.New(slog.NewTextHandler(&out, nil)))
		for range 100 {
			log.warn("flood")
		}
		if n := strings.Count(out.String(), "flood"); n != 10 {
			t.Errorf("%d lines of a flood of 100", n)
		}
		time.Sleep(time.Second)
		log.warn("later")
		if !strings.HasSuffix(out.String(), "msg=later suppressed=90\n") {
			t.Errorf("the log ends with %q", out.String()[max(0, out.Len()-60):])
		}
		n := out.Len()
		if log.close("rest"); out.Len() != n {
			t.Error("a rest of nothing was reported")
		}
	})
}
