package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// readDisk reads how many bytes have been written to the disk of a file. That is known on Linux only, and not for file
// systems that are on no disk, or on several.
func readDisk(path string) (uint64, error) {
	var info syscall.Stat_t
	if err := syscall.Stat(path, &info); err != nil {
		return 0, err
	}
	dev := uint64(info.Dev)
	stat, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(dev), unix.Minor(dev)))
	if err != nil {
		return 0, err
	}
	return parseDisk(string(stat))
}

// sector is the unit of /sys/dev/block/*/stat, whatever the disk's own sectors are.
const sector = 512

// parseDisk finds the bytes written in the text of /sys/dev/block/*/stat.
func parseDisk(text string) (uint64, error) {
	fields := strings.Fields(text)
	if len(fields) < 7 {
		return 0, fmt.Errorf("a disk's statistics have %d fields", len(fields))
	}
	n, err := strconv.ParseUint(fields[6], 10, 64)
	return n * sector, err
}
