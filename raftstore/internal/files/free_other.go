//go:build !linux

package files

import "math"

// Free is the number of bytes that can still be written to the file system of a directory, where that can be told.
func Free(string) (int64, error) { return math.MaxInt64, nil }
