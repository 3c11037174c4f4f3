package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A pidFile is the file that names this process. It is locked while the process runs: two processes that start at the
// same time can't both take it. The process keeps a descriptor for reading only: without root's rights it must not be
// able to change what root's scripts read.
type pidFile struct {
	path string // absolute
	f    *os.File
}

// maxPIDFile bounds what is read of an existing file, which may be anything.
const maxPIDFile = 64

// takePIDFile writes the process id to a file. It replaces a file that names no running process.
func takePIDFile(path string) (*pidFile, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("-pidfile: %w", err)
	}
	for {
		p, err := tryPIDFile(path)
		if errors.Is(err, errRaced) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("-pidfile: %w", err)
		}
		return p, nil
	}
}

// errRaced means that another process changed the file at the same time.
var errRaced = errors.New("the file has changed meanwhile")

func tryPIDFile(path string) (*pidFile, error) {
	old, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%s is a symbolic link", path)
	case err != nil:
		return nil, err
	default:
		defer old.Close()
		if err := checkStale(old, path); err != nil {
			return nil, err
		}
	}

	next, err := writePIDFile(path)
	if err != nil {
		return nil, err
	}
	defer os.Remove(next.Name()) // fails after the rename
	if old == nil {
		err = os.Link(next.Name(), path)
	} else {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		next.Close()
		if errors.Is(err, os.ErrExist) {
			return nil, errRaced
		}
		return nil, err
	}
	return &pidFile{path, next}, nil
}

// checkStale locks an existing file and makes sure that the process it names has ended.
func checkStale(old *os.File, path string) error {
	info, err := old.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	text, err := io.ReadAll(io.LimitReader(old, maxPIDFile))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil && len(bytes.TrimSpace(text)) > 0 {
		return fmt.Errorf("%s is there and holds no process id: it is left alone", path)
	}
	if err := unix.Flock(int(old.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%s is held by process %d, which is running", path, pid)
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(info, now) {
		return errRaced
	}
	if pid > 0 && pid != os.Getpid() && running(pid) {
		return fmt.Errorf("%s names process %d%s, which is running: stop it, or remove the file if it is another program's", path, pid, command(pid))
	}
	return nil
}

func running(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// command is the name of a process, in brackets.
func command(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return " (" + string(bytes.TrimSpace(name)) + ")"
}

// writePIDFile writes a locked file beside path, to be renamed to path.
func writePIDFile(path string) (*os.File, error) {
	w, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	defer w.Close()
	_, err = fmt.Fprintf(w, "%d\n", os.Getpid())
	err = errors.Join(err, w.Chmod(0o644))
	var r *os.File
	if err == nil {
		r, err = os.Open(w.Name())
	}
	if err == nil {
		err = unix.Flock(int(r.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		os.Remove(w.Name())
		return nil, err
	}
	return r, nil
}

// remove removes the file, if it is still this process's.
func (p *pidFile) remove() error {
	defer p.f.Close()
	own, err := p.f.Stat()
	if err != nil {
		return err
	}
	now, err := os.Lstat(p.path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(own, now) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(p.path)
}
