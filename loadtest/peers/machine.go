package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// describeMachine describes, in lines, the machine and the contestants.
func describeMachine(ctx context.Context, dir string, entrants []entrant) []string {
	lines := []string{processors(), disk(dir)}
	for _, e := range entrants {
		version := "unknown version"
		if out, err := exec.CommandContext(ctx, e.path, e.version).Output(); err == nil {
			version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
		}
		lines = append(lines, fmt.Sprintf("%s: %s (%s)", e.name, e.about, version))
	}
	return lines
}

func processors() string {
	line := fmt.Sprintf("%d processors", runtime.NumCPU())
	if model := cpuModel(readText("/proc/cpuinfo")); model != "" {
		line += ", " + model
	}
	line += ", " + runtime.GOOS
	if release := strings.TrimSpace(readText("/proc/sys/kernel/osrelease")); release != "" {
		line += " " + release
	}
	if load := strings.Fields(readText("/proc/loadavg")); len(load) > 0 {
		line += ", load average at the start " + load[0]
	}
	return line
}

func disk(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	line := "files in " + dir
	kind, source := mountOf(readText("/proc/self/mountinfo"), dir)
	if kind != "" {
		line += ", " + kind + " on " + source
	}
	if kind == "tmpfs" {
		line += ": NOT A DISK, syncing it costs nothing; -dir names another place"
	}
	return line
}

// readText is a file's text, "" if it can't be read.
func readText(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// cpuModel finds the processor's name in the text of /proc/cpuinfo.
func cpuModel(text string) string {
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// mountOf finds the kind of file system that a path is in, and its device, in the text of /proc/self/mountinfo. Of
// several mounts in one place the last counts.
func mountOf(text, path string) (kind, source string) {
	longest := -1
	for line := range strings.Lines(text) {
		before, after, found := strings.Cut(line, " - ")
		fields, more := strings.Fields(before), strings.Fields(after)
		if !found || len(fields) < 5 || len(more) < 2 {
			continue
		}
		point := strings.TrimSuffix(fields[4], "/")
		if (path == point || strings.HasPrefix(path, point+"/")) && len(point) >= longest {
			longest, kind, source = len(point), more[0], more[1]
		}
	}
	return kind, source
}
