//go:build unix

package seal

import (
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// sameOwner gives a file to the owner of another: an administrator may change the key file of the server's user.
func sameOwner(f, as *os.File) error {
	fi, err := as.Stat()
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return nil
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}

// lock keeps other processes from changing a key file. The directory's own lock is used, since the file is replaced.
func lock(path string) (unlock func(), err error) {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		d.Close()
		return nil, err
	}
	return func() { d.Close() }, nil
}
