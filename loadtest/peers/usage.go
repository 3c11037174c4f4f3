package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A usage is what servers and load have used so far. What each process writes is not among it: the kernel's count of that,
// write_bytes in /proc/PID/io, takes a page of a file for as large as the piece of the file that it keeps in memory
// together, which may be hundreds of pages.
type usage struct {
	servers time.Duration // processor time of the servers, together
	load    time.Duration // of this process
	disk    *uint64       // bytes written to the disk that the servers' files are on, by whoever; nil when that is not known
	syncs   []uint64      // of the disk, by server; nil when not counted
}

// errNoUsage is what becomes of reading usage where that can't be done. Then there are no such figures.
var errNoUsage = errors.New("what servers use of processor and disk is known on Linux only")

// tick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 wherever Go runs.
const tick = 10 * time.Millisecond

// parseStat takes the processor time of a process and of its ended children from the text of /proc/PID/stat. redis writes
// its file anew in a child.
func parseStat(text string) (time.Duration, error) {
	// The name, in brackets, may have anything in it.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return 0, fmt.Errorf("/proc/PID/stat has %d fields", len(fields))
	}
	var sum uint64
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// sector is the unit of /sys/dev/block/*/stat, whatever the disk's own.
const sector = 512

// parseDisk takes the bytes written from the text of /sys/dev/block/*/stat.
func parseDisk(text string) (uint64, error) {
	fields := strings.Fields(text)
	if len(fields) < 7 {
		return 0, fmt.Errorf("a disk's statistics have %d fields", len(fields))
	}
	n, err := strconv.ParseUint(fields[6], 10, 64)
	return n * sector, err
}

// since is what was used after an earlier reading.
func (u usage) since(earlier usage) *usage {
	d := &usage{servers: u.servers - earlier.servers, load: u.load - earlier.load}
	if u.disk != nil && earlier.disk != nil {
		n := *u.disk - *earlier.disk
		d.disk = &n
	}
	for i, n := range u.syncs {
		d.syncs = append(d.syncs, n-earlier.syncs[i])
	}
	return d
}
