//go:build !linux

package boltfile

const mmapFlags = 0

func populate([]byte) {}
