package procs

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// procTick is the unit of processor times in /proc: USER_HZ, which is 100 wherever Go runs.
const procTick = 10 * time.Millisecond

// A Usage is what a process has used, as Linux counts it.
type Usage struct {
	CPU        time.Duration // user and system time, including that of children that have ended
	Anon, File int64         // resident memory in bytes: anonymous, and of mapped files
	Written    int64         // bytes that it caused to be written to the disk; pages count as their whole folios
	Faults     int64         // major page faults: pages of mapped files read from the disk
}

// Usage reads what the running process has used. The error is [errors.ErrUnsupported] on systems other than Linux.
func (p *Process) Usage() (Usage, error) {
	if runtime.GOOS != "linux" {
		return Usage{}, fmt.Errorf("what a process uses is known on Linux only: %w", errors.ErrUnsupported)
	}
	var texts [3]string
	for i, name := range []string{"stat", "status", "io"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.Pid(), name))
		if err != nil {
			return Usage{}, err
		}
		texts[i] = string(b)
	}
	return parseUsage(texts[0], texts[1], texts[2])
}

func parseUsage(stat, status, io string) (u Usage, err error) {
	// The second field, the program's name in parentheses, may contain anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 {
		return u, fmt.Errorf("stat has %d fields behind the name", len(fields))
	}
	for i, field := range append(fields[11:15:15], fields[9]) { // utime, stime, cutime, cstime; majflt
		n, err := strconv.ParseInt(field, 10, 64)
		switch {
		case err != nil:
			return u, err
		case i == 4:
			u.Faults = n
		default:
			u.CPU += time.Duration(n) * procTick
		}
	}
	if u.Anon, err = number(status, "RssAnon"); err != nil {
		return u, err
	}
	if u.File, err = number(status, "RssFile"); err != nil {
		return u, err
	}
	u.Written, err = number(io, "write_bytes")
	return u, err
}

// number finds the value of a line "name: 12" or "name: 12 kB".
func number(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		if key != name {
			continue
		}
		digits, unit, _ := strings.Cut(strings.TrimSpace(value), " ")
		n, err := strconv.ParseInt(digits, 10, 64)
		if unit == "kB" {
			n <<= 10
		}
		return n, err
	}
	return 0, fmt.Errorf("no %s", name)
}
