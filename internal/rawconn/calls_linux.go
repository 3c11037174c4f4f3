package rawconn

import (
	"syscall"
	"unsafe"
)

// The descriptors here are non-blocking, so that a call takes no longer than its work does, and the scheduler is not told of
// it (syscall.RawSyscall). What it is told of (syscall.Syscall) wakes its watching thread when the process was
// idle before, and that thread then looks in every 20 us: with short connections a quarter of a proxy's work.

func read(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		if err != syscall.EINTR {
			return int(n), err
		}
	}
}

// write does not raise SIGPIPE, which the runtime would have to ignore.
func write(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_NOSIGNAL, 0, 0)
		if err != syscall.EINTR {
			return int(n), err
		}
	}
}
