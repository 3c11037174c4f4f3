// Package procs runs server processes as an operator would: it starts them with flags and files, stops, kills and
// restarts them. A [Process] is any program, a [Server] is a dc_server. The demo, the crash tests and the benchmarks
// use this package.
package procs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	keepLog     = 64 << 10 // how many bytes of a process's output are kept
	stopTimeout = 30 * time.Second
)

// A Process is a program that runs or not. On Linux it ends when this process ends.
type Process struct {
	Name    string
	Command []string
	Env     []string // added to this process's environment, without the variables that set servers' flags

	cmd    *exec.Cmd
	exited chan struct{}
	log    *tail
}

// Start starts the process. It does not wait for anything.
func (p *Process) Start() error {
	if p.Running() {
		return fmt.Errorf("%s runs already", p.Name)
	}
	cmd, log := exec.Command(p.Command[0], p.Command[1:]...), &tail{}
	cmd.Env = append(environment(os.Environ()), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.log, p.exited = cmd, log, make(chan struct{})
	go func(done chan struct{}) {
		cmd.Wait()
		close(done)
	}(p.exited)
	return nil
}

// environment leaves out the variables that set servers' flags.
func environment(all []string) []string {
	return slices.DeleteFunc(all, func(v string) bool {
		return strings.HasPrefix(v, "ETCD") || strings.HasPrefix(v, "DC_SERVER_")
	})
}

// Running tells whether the process has been started and has not ended.
func (p *Process) Running() bool {
	if p.exited == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Kill ends the process at once, as kill -9 does.
func (p *Process) Kill() {
	if p.Running() {
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// Stop sends SIGTERM and waits for the process to end. It kills a process that takes too long, which is an error.
func (p *Process) Stop() error {
	if !p.Running() {
		return nil
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		p.Kill()
		return fmt.Errorf("%s did not stop within %v", p.Name, stopTimeout)
	}
	if p.cmd.ProcessState.ExitCode() != 0 {
		return p.Died()
	}
	return nil
}

// Signal sends the process a signal.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Wait waits for the process to end and returns its exit status, -1 when a signal ended it.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Died returns an error if the process does not run: it quotes the end of the process's output.
func (p *Process) Died() error {
	if p.Running() {
		return nil
	}
	return fmt.Errorf("%s has ended: %v\n%s", p.Name, p.cmd.ProcessState, p.Log())
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Log is the end of the process's output since its last start.
func (p *Process) Log() string {
	if p.log == nil {
		return ""
	}
	return p.log.String()
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - keepLog; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimRight(t.buf, "\n"))
}
