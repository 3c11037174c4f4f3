package main

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readUsage reads what a farm and this process have used.
func readUsage(f *farm) (usage, error) {
	var u usage
	for _, p := range f.processes {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
		if err != nil {
			return usage{}, err
		}
		cpu, err := parseStat(string(stat))
		if err != nil {
			return usage{}, err
		}
		u.servers += cpu
	}
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return usage{}, err
	}
	u.load = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	if n, err := readDisk(f.dir); err == nil {
		u.disk = &n
	}
	return u, nil
}

// readDisk reads how many bytes have been written to the disk that a file is on. It can't be told for file systems that
// are on no disk, or on several.
func readDisk(path string) (uint64, error) {
	var info unix.Stat_t
	if err := unix.Stat(path, &info); err != nil {
		return 0, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(uint64(info.Dev)), unix.Minor(uint64(info.Dev))))
	if err != nil {
		return 0, err
	}
	return parseDisk(string(stat))
}
