package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// A tracer counts how often servers ask the kernel to sync the disk. It has strace write a line for each such call;
// with --seccomp-bpf the servers run freely in between. With -D the server is this process's child and strace is not,
// so that signals and /proc mean the server.
type tracer struct {
	strace string // program
	dir    string // of the files with the lines
}

// findStrace returns "" when it is not installed.
func findStrace() string {
	path, _ := exec.LookPath("strace")
	return path
}

// prefix is what a node's command line goes behind.
func (t *tracer) prefix(node string) []string {
	return []string{t.strace, "-D", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,syncfs",
		"-e", "signal=none", "-o", t.file(node)}
}

func (t *tracer) file(node string) string { return filepath.Join(t.dir, node+".syncs") }

// read adds the calls so far to what is otherwise known.
func (t *tracer) read(f *farm) (usage, error) {
	u, err := readUsage(f)
	if err != nil {
		return usage{}, err
	}
	for _, p := range f.processes {
		lines, err := os.ReadFile(t.file(p.Name))
		if err != nil {
			return usage{}, err
		}
		u.syncs = append(u.syncs, countSyncs(lines))
	}
	return u, nil
}

// aSync is where a call begins in what strace writes. One that takes long has a second line, that it is resumed.
var aSync = regexp.MustCompile(`(?m)^\d+ +(fsync|fdatasync|sync_file_range|syncfs)\(`)

func countSyncs(lines []byte) uint64 { return uint64(len(aSync.FindAllIndex(lines, -1))) }
