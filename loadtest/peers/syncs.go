package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// A tracer counts how often servers ask the kernel to sync the disk. strace writes a line for each such call. With
// --seccomp-bpf the servers run freely in between. With -D the server is the child of this process, and strace is not,
// so that signals and /proc concern the server.
type tracer struct {
	strace string // path of the program
	dir    string // for strace's output files
}

// findStrace returns "" when strace is not installed.
func findStrace() string {
	path, _ := exec.LookPath("strace")
	return path
}

// prefix is what goes before a node's command line.
func (t *tracer) prefix(node string) []string {
	return []string{t.strace, "-D", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,syncfs",
		"-e", "signal=none", "-o", t.file(node)}
}

func (t *tracer) file(node string) string { return filepath.Join(t.dir, node+".syncs") }

// read is readUsage, plus the number of syncs.
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

// aSync matches the beginning of a call in strace's output. A call that takes long has a second line, which says that
// it is resumed.
var aSync = regexp.MustCompile(`(?m)^\d+ +(fsync|fdatasync|sync_file_range|syncfs)\(`)

func countSyncs(lines []byte) uint64 { return uint64(len(aSync.FindAllIndex(lines, -1))) }
