package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/distcache/distcache/internal/config"
)

// run does what args ask for. The report goes to stdout, messages go to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, set := newOptions()
	if err := set.ParseFlags(args, stdout); err != nil {
		return err
	}
	if err := opts.finish(); err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	entrants := findPrograms(opts.wanted(), exec.LookPath, say)
	if entrants == nil {
		_, err := fmt.Fprintln(stdout, "skipped: nothing to compare distcache with is installed")
		return err
	}
	dir, err := os.MkdirTemp(opts.dir, "distcache-peers-")
	if err != nil {
		return fmt.Errorf("-dir: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := buildServer(ctx, dir, entrants); ctx.Err() != nil {
		return config.ErrInterrupted
	} else if err != nil {
		return err
	}
	r := &report{options: opts, entrants: entrants, machine: describeMachine(ctx, dir, entrants)}
	for _, line := range r.machine {
		say("%s", line)
	}
	b := newBench(opts, entrants, dir, say)
	err = b.run(ctx)
	r.findings = b.findings
	if len(b.samples) > 0 {
		if err := render(stdout, opts.format, r.blocks()); err != nil {
			return err
		}
	}
	return err
}

// An entrant is a kind that takes part in the run.
type entrant struct {
	kind
	path string // of the program
}

// findPrograms finds the kinds' programs, and reports those that are missing. It returns nil when other kinds than ours
// were wanted and none of those is installed.
func findPrograms(list []kind, find func(string) (string, error), say func(string, ...any)) []entrant {
	var entrants []entrant
	asked, found := 0, 0
	for _, k := range list {
		e := entrant{kind: k}
		if !k.ours() {
			asked++
			path, err := find(k.program)
			if err != nil {
				say("%s is left out: there is no %s in $PATH (Debian has it in the package %s)",
					k.name, k.program, k.debian)
				continue
			}
			found++
			e.path = path
		}
		entrants = append(entrants, e)
	}
	if asked > 0 && found == 0 {
		return nil
	}
	return entrants
}

// module is the module of dc_server. It is built from the checkout that this program was built from.
const module = "github.com/distcache/distcache"

// buildServer builds dc_server for the entrants that are ours, with its own module's versions of its dependencies, not
// those of this module.
func buildServer(ctx context.Context, dir string, entrants []entrant) error {
	program := filepath.Join(dir, "dc_server")
	needed := false
	for i := range entrants {
		if entrants[i].ours() {
			entrants[i].path = program
			needed = true
		}
	}
	if !needed {
		return nil
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return config.Hint(fmt.Errorf("find the source of dc_server: %w", explain(err)),
			"This is to be run in a checkout of distcache: \"make bench-peers\" does that.")
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/dc_server")
	cmd.Dir = strings.TrimSpace(string(root))
	if _, err := cmd.Output(); err != nil {
		return fmt.Errorf("build dc_server: %w", explain(err))
	}
	return nil
}

// explain adds a command's error output to its error.
func explain(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w\n%s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
