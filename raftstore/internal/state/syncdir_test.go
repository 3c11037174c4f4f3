package state

import (
	"path/filepath"
	"syscall"
	"testing"
)

// When the directory can't be synced, a crash may leave the old file under the name: so it stays whole, and Compact
// says that something is wrong.
func TestOldFileStaysWhenNameIsUncertain(t *testing.T) {
	m := peak(t, filepath.Join(t.TempDir(), "state.db"), never)
	old := linked(t, m) // what such a crash would leave
	before := sizeOf(t, old)

	// Descriptors are given in order: enough for the copy and for the old file, none for the directory.
	var next [3]int
	for i := range next {
		fd, err := syscall.Dup(1)
		if err != nil {
			t.Fatal(err)
		}
		next[i] = fd
	}
	for _, fd := range next {
		syscall.Close(fd)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = uint64(next[2])
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	_, _, err := m.Compact(t.Context())
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	failed := m.err
	m.mu.Unlock()
	if err == nil || failed == nil {
		t.Errorf("Compact: %v; the machine: %v", err, failed)
	}
	if n := sizeOf(t, old); n != before {
		t.Errorf("the old file has %d bytes of %d", n, before)
	}
}
