package procs

import (
	"testing"
	"time"
)

func TestParseUsage(t *testing.T) {
	const (
		stat   = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 7 0 120 40 3 5 20 0 9 0 1000 1 2"
		status = "Name:\ta) b\nVmRSS:\t    9000 kB\nRssAnon:\t    2048 kB\nRssFile:\t    4 kB\n"
		io     = "rchar: 1\nwchar: 2\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n"
	)
	got, err := parseUsage(stat, status, io)
	if want := (Usage{1680 * time.Millisecond, 2 << 20, 4 << 10, 8192, 7}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, bad := range [][3]string{{"", status, io}, {stat, "", io}, {stat, status, ""}, {stat, "RssAnon: x kB", io}} {
		if _, err := parseUsage(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("no error of %q", bad)
		}
	}
}
