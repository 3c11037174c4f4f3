package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

var errNoReader = errors.New("it is a pipe that nobody reads from")

// Append opens a file to append to, with root's rights if the process still has them. A pipe must have a reader. A
// symbolic link that the process's user could have made is not followed.
func (p *Process) Append(path string, perms fs.FileMode) (*os.File, error) {
	return openToAppend(path, perms, p.account == nil || os.Geteuid() != 0)
}

// openToAppend opens a file, and makes it if there is none. It does not wait for the reader of a pipe. Unless links is
// true, a symbolic link is followed only if nobody but root can have made it.
func openToAppend(path string, perms fs.FileMode, links bool) (*os.File, error) {
	fail := func(err error) (*os.File, error) { return nil, &fs.PathError{Op: "open", Path: path, Err: err} }
	flags := unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NONBLOCK
	if !links && !rootsLink(path) {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := unix.Open(path, flags, uint32(perms.Perm()))
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Open(path, flags, uint32(perms.Perm()))
	}
	switch {
	case errors.Is(err, unix.ENXIO):
		return fail(errNoReader)
	case errors.Is(err, unix.ELOOP) && !links:
		return fail(fmt.Errorf("it is a symbolic link, which -user does not go with, as others than root may write to its directory"))
	case err != nil:
		return fail(err)
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return fail(err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// rootsLink tells whether path is root's symbolic link in a directory that only root can write to.
func rootsLink(path string) bool {
	link, err := os.Lstat(path)
	dir, err2 := os.Stat(filepath.Dir(path))
	return err == nil && err2 == nil && link.Mode().Type() == fs.ModeSymlink && ofRoot(link) && ofRoot(dir) && dir.Mode().Perm()&0o022 == 0
}

func ofRoot(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && st.Uid == 0
}
