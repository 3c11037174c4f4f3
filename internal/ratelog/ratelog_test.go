package ratelog

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		log := New(slog.New(slog.NewTextHandler(&out, nil)))
		for range 100 {
			log.Warn("flood")
		}
		if n := strings.Count(out.String(), "flood"); n != 10 {
			t.Errorf("%d lines of a flood of 100", n)
		}
		time.Sleep(time.Second)
		log.Warn("later")
		if !strings.HasSuffix(out.String(), "msg=later suppressed=90\n") {
			t.Errorf("the log ends with %q", out.String()[max(0, out.Len()-60):])
		}
		n := out.Len()
		if log.Close("rest"); out.Len() != n {
			t.Error("a rest of nothing was reported")
		}
	})
}
