package boltfile

import "golang.org/x/sys/unix"

// mmapFlags have bbolt's mapping complete at once, too.
const mmapFlags = unix.MAP_POPULATE

// populate maps all pages in one go, which is quicker than one by one. Kernels before 5.14 don't; nothing depends on
// it.
func populate(mapped []byte) { _ = unix.Madvise(mapped, unix.MADV_POPULATE_READ) }
