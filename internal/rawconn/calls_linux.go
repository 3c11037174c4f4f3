package rawconn

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Nothing here waits, so that a call takes no longer than its work does, and the scheduler is not told of it
// (syscall.RawSyscall). That does not depend on the descriptor's being non-blocking, which others may change. What it
// is told of (syscall.Syscall) wakes its watching thread when the process was idle before, and that thread then looks
// in every 20 us: with short connections a quarter of a proxy's work.

func read(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))),
			uintptr(len(b)), syscall.MSG_DONTWAIT, 0, 0)
		if err != syscall.EINTR {
			hasRead(fd)
			return int(n), err
		}
	}
}

// write does not raise SIGPIPE, which the runtime would have to ignore.
func write(fd uintptr, b []byte) (int, syscall.Errno) {
	willWrite()
	for {
		n, _, err := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))),
			uintptr(len(b)), syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT, 0, 0)
		if err != syscall.EINTR {
			return int(n), err
		}
	}
}

func setUserTimeout(fd uintptr, d time.Duration) error {
	err := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	return os.NewSyscallError("setsockopt", err)
}
