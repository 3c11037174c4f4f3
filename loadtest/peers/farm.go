package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/distcache/distcache/internal/procs"
)

// A farm is the running servers of a contestant.
type farm struct {
	kind       kind
	contestant contestant
	dir        string
	processes  []*procs.Process
}

// startFarm starts servers in dir, which must be empty, and waits until they are ready. If prefix is not nil, it
// returns the words to put before a node's command line.
func startFarm(ctx context.Context, k kind, program, dir string, prefix func(node string) []string) (*farm, error) {
	c, err := k.new(dir)
	if err != nil {
		return nil, err
	}
	f := &farm{kind: k, contestant: c, dir: dir}
	for i, flags := range c.flags() {
		p := &procs.Process{Name: nodeName(i), Command: append([]string{program}, flags...)}
		if prefix != nil {
			p.Command = append(prefix(p.Name), p.Command...)
		}
		err := os.Mkdir(filepath.Join(dir, p.Name), 0o700)
		if err == nil {
			err = p.Start()
		}
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
			return fmt.Errorf("%s did not become ready within %v: %w; its first node says:\n%s",
				f.kind.name, readyTimeout, err, f.processes[0].Log())
		}
	}
}

// check returns an error when a server has ended by itself.
func (f *farm) check() error {
	for _, p := range f.processes {
		if err := p.Died(); err != nil {
			return fmt.Errorf("%s: %w", f.kind.name, err)
		}
	}
	return nil
}

// stop kills the servers: their files are not needed any more.
func (f *farm) stop() {
	for _, p := range f.processes {
		p.Kill()
	}
}
