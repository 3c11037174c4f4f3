package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// readDisk reads how many bytes have been written to the disk that a file is on. It can't be told for file systems that
// are on no disk, or on several.
func readDisk(path string) (uint64, error) {
	var info unix.Stat_t
	if err := unix.Stat(path, &info); err != nil {
		return 0, err
	}
	dev := uint64(info.Dev)
	stat, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(dev), unix.Minor(dev)))
	if err != nil {
		return 0, err
	}
	return parseDisk(string(stat))
}
