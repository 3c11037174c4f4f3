//go:build !linux

package daemon

func groupMemory() int64 { return 0 }
