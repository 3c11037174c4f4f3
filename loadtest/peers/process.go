package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// shownLog is how much of a server's log is shown, when it matters, in bytes.
const shownLog = 2 << 10

// A process is a server that was started.
type process struct {
	name   string
	log    string // path of what it writes to its output
	cmd    *exec.Cmd
	exited chan struct{}
}

// startProcess starts a server in a directory of its own, which is made for it, below dir. It ends when this process
// does, however that ends.
func startProcess(dir, name, program string, args []string) (*process, error) {
	if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
		return nil, err
	}
	p := &process{name: name, log: filepath.Join(dir, name+".log"), exited: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = environment(os.Environ())
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// environment is ours without the variables that set servers' flags.
func environment(all []string) []string {
	var list []string
	for _, v := range all {
		if !strings.HasPrefix(v, "ETCD") && !strings.HasPrefix(v, "DC_SERVER_") {
			list = append(list, v)
		}
	}
	return list
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// died is an error with the end of the log when the process has ended by itself.
func (p *process) died() error {
	if p.running() {
		return nil
	}
	return fmt.Errorf("%s has ended: %v\n%s", p.name, p.cmd.ProcessState, p.logEnd())
}

func (p *process) logEnd() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-shownLog):]))
}

// killAll ends processes. They need no time to stop: nobody wants their files.
func killAll(list []*process) {
	for _, p := range list {
		_ = p.cmd.Process.Kill()
	}
	for _, p := range list {
		<-p.exited
	}
}

// A farm is a contestant's servers, running.
type farm struct {
	kind       kind
	contestant contestant
	dir        string
	processes  []*process
}

// startFarm starts servers in dir, which must be empty, and waits until they are fit to be measured. Their command lines
// go behind prefix's words, if any, which it makes for each.
func startFarm(ctx context.Context, k kind, program, dir string, prefix func(node string) []string) (*farm, error) {
	c, err := k.new(dir)
	if err != nil {
		return nil, err
	}
	f := &farm{kind: k, contestant: c, dir: dir}
	for _, cmd := range c.commands() {
		words := append([]string{program}, cmd.args...)
		if prefix != nil {
			words = append(prefix(cmd.name), words...)
		}
		p, err := startProcess(dir, cmd.name, words[0], words[1:])
		if err != nil {
			f.stop()
			return nil, err
		}
		f.processes = append(f.processes, p)
	}
	if err := f.await(ctx); err != nil {
		f.stop()
		return nil, err
	}
	return f, nil
}

// await waits until the servers are ready.
func (f *farm) await(ctx context.Context) error {
	late := time.After(readyTimeout)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, requestTimeout)
		err := f.contestant.ready(try)
		cancel()
		if err == nil {
			return nil
		}
		if dead := f.check(); dead != nil {
			return dead
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return fmt.Errorf("%s did not become ready within %v: %w; its first node says:\n%s", f.kind.name, readyTimeout, err, f.processes[0].logEnd())
		}
	}
}

// check is an error when a server has ended by itself.
func (f *farm) check() error {
	for _, p := range f.processes {
		if err := p.died(); err != nil {
			return fmt.Errorf("%s: %w", f.kind.name, err)
		}
	}
	return nil
}

func (f *farm) stop() { killAll(f.processes) }
