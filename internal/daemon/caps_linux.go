package daemon

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepRemoving starts this program anew without any of root's capabilities but the two that removing files needs: to
// write to directories of others, and to remove others' files from a directory with the sticky bit. Capabilities are a
// thread's own; what a new program may have is bounded for all of its threads. It returns only after an error.
func keepRemoving(env []string) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if c != unix.CAP_DAC_OVERRIDE && c != unix.CAP_FOWNER {
			_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) // an older kernel does not know all of them
		}
	}
	return syscall.Exec("/proc/self/exe", os.Args, env)
}
