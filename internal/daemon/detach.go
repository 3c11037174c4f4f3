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

// callersVariable tells the detached process at which descriptor its caller's pipe is. It has a number of its own,
// above all others, so that descriptors that were inherited keep theirs.
const callersVariable = "DISTCACHE_STARTED_BY_FD"

// An exitStatus ends the process without a word: what there was to say has been said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// startDetached starts this program again in the background and waits until it is up. The error is nil then, else the
// status that the other process ended with.
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
	if state.Success() { // it was told to stop before it was up
		return exitStatus(1)
	}
	return exitStatus(state.ExitCode())
}

// callersPipe is where the process that started this one waits, nil if this one was not started by -daemon.
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

// detach closes the standard descriptors, and lets the caller go.
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
		return nil // the caller did not want to wait
	}
	return err
}
