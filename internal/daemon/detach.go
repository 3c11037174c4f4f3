package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// callersVariable tells the detached process the descriptor of its caller's pipe. The number is above all others, so
// that inherited descriptors keep theirs.
const callersVariable = "DISTCACHE_STARTED_BY_FD"

// An exitStatus ends the process with that status and prints nothing: the error was reported already.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// startDetached starts this program again in the background and waits until it is up. If that process ends before, the
// error is its exit status.
func startDetached(ctx context.Context) error {
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("-daemon: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("-daemon: %w", err)
	}
	defer r.Close()
	defer w.Close()
	fd := int(w.Fd())
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
		return fmt.Errorf("-daemon: %w", err)
	}
	child, err := os.StartProcess(path, os.Args, &os.ProcAttr{
		Env:   append(os.Environ(), callersVariable+"="+strconv.Itoa(fd)),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("-daemon: %w", err)
	}
	w.Close()
	giveUp := context.AfterFunc(ctx, func() { _ = child.Signal(syscall.SIGTERM) })
	defer giveUp()
	if _, err := io.ReadFull(r, make([]byte, 1)); err == nil {
		return child.Release()
	}
	state, err := child.Wait()
	if err != nil {
		return fmt.Errorf("-daemon: %w", err)
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return fmt.Errorf("-daemon: the process in the background was ended by a signal: %v", ws.Signal())
	}
	if state.Success() { // a signal stopped it before it was up
		return exitStatus(1)
	}
	return exitStatus(state.ExitCode())
}

// callersPipe is the pipe on which the process that started this one waits. It is nil unless -daemon started this one.
func callersPipe() (*os.File, error) {
	text, ok := os.LookupEnv(callersVariable)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(callersVariable)
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s is for this program's own use", callersVariable)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, fmt.Errorf("%s is for this program's own use", callersVariable)
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "caller"), nil
}

// detach closes the standard descriptors, and tells the caller that this process is up.
func (p *Process) detach() error {
	if p.caller == nil {
		return nil
	}
	if err := p.output.crashes(); err != nil {
		p.Log.Warn("a crash would not be logged", "error", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("-daemon: %w", err)
	}
	defer null.Close()
	for fd := range 3 {
		if err := unix.Dup2(int(null.Fd()), fd); err != nil {
			return fmt.Errorf("-daemon: %w", err)
		}
	}
	_, err = p.caller.Write([]byte{'\n'})
	err = errors.Join(err, p.caller.Close())
	p.caller = nil
	if errors.Is(err, syscall.EPIPE) {
		return nil // the caller has gone
	}
	return err
}
