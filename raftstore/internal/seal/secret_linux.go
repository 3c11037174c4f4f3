package seal

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// newSecret makes room for keys outside the Go heap, which does not move them or leave copies behind. The page is not
// swapped and not dumped, if the system allows that.
func newSecret() *secret {
	page, err := unix.Mmap(-1, 0, int(unsafe.Sizeof(secret{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return new(secret)
	}
	_ = unix.Mlock(page)
	_ = unix.Madvise(page, unix.MADV_DONTDUMP)
	return (*secret)(unsafe.Pointer(unsafe.SliceData(page)))
}

// free gives the page back. Nobody may use the keys any more.
func (s *secret) free() {
	page := unsafe.Slice((*byte)(unsafe.Pointer(s)), int(unsafe.Sizeof(*s)))
	_ = unix.Munmap(page[:len(page):len(page)])
}
