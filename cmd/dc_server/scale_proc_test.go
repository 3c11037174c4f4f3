package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
)

// procTick is the unit of processor times in /proc, on every machine that Go runs on.
const procTick = 10 * time.Millisecond

// A usage is what Linux has on record of a process.
type usage struct {
	cpu        time.Duration // user and system
	anon, file int64         // resident memory in bytes: its own, and of files that it has mapped
	written    int64         // bytes that it caused to be written to the disk
	faults     int64         // pages of mapped files that it waited for the disk to read
}

// usageOf reads a running server's.
func usageOf(s *procs.Server) (u usage, err error) {
	read := func(name string) string {
		b, failed := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.Pid(), name))
		if failed != nil {
			err = failed
		}
		return string(b)
	}
	stat, status, io := read("stat"), read("status"), read("io")
	if err != nil {
		return u, err
	}
	return parseUsage(stat, status, io)
}

func parseUsage(stat, status, io string) (u usage, err error) {
	// The second field is the program's name in parentheses, and may contain anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return u, fmt.Errorf("stat has %d fields behind the name", len(fields))
	}
	var numbers [3]int64
	for i, field := range []string{fields[11], fields[12], fields[9]} {
		if numbers[i], err = strconv.ParseInt(field, 10, 64); err != nil {
			return u, err
		}
	}
	u.cpu = time.Duration(numbers[0]+numbers[1]) * procTick
	u.faults = numbers[2]
	if u.anon, err = procNumber(status, "RssAnon"); err != nil {
		return u, err
	}
	if u.file, err = procNumber(status, "RssFile"); err != nil {
		return u, err
	}
	u.written, err = procNumber(io, "write_bytes")
	return u, err
}

// procNumber finds "name: 12" or "name: 12 kB" in a text of such lines.
func procNumber(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		if key != name {
			continue
		}
		number, unit, _ := strings.Cut(strings.TrimSpace(value), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if unit == "kB" {
			n <<= 10
		}
		return n, err
	}
	return 0, fmt.Errorf("no %s", name)
}

// loadAverage is the machine's, to tell how much else went on.
func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	average, _, _ := strings.Cut(string(b), " ")
	return average
}

func TestParseUsage(t *testing.T) {
	const (
		stat   = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 7 0 123 45 0 0 20 0 9 0 1000 1 2"
		status = "Name:\ta) b\nVmRSS:\t    9000 kB\nRssAnon:\t    2048 kB\nRssFile:\t    4 kB\n"
		io     = "rchar: 1\nwchar: 2\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n"
	)
	got, err := parseUsage(stat, status, io)
	if want := (usage{1680 * time.Millisecond, 2 << 20, 4 << 10, 8192, 7}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, bad := range [][3]string{{"", status, io}, {stat, "", io}, {stat, status, ""}, {stat, "RssAnon: x kB", io}} {
		if _, err := parseUsage(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("no error of %q", bad)
		}
	}
}
