//go:build !linux

package main

import "errors"

// readDisk is for Linux.
func readDisk(string) (uint64, error) { return 0, errors.ErrUnsupported }
