package rawconn

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// No call here waits, whether or not the descriptor is non-blocking, which other processes may change. So a call takes
// no longer than its work, and the scheduler need not know of it: syscall.RawSyscall does not tell it. syscall.Syscall
// does; that wakes the scheduler's monitor thread when the process was idle, which then polls every 20 µs. With short
// connections that cost a quarter of a proxy's processor time.

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

// write does not raise SIGPIPE: the runtime would have to ignore it.
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
