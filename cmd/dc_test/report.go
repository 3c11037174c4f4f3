package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A reportFile is written beside the file that it replaces in the end, so that nobody sees half a report. It is opened
// before the load runs: a load may take an hour, and must not end with a report that can't be written.
type reportFile struct {
	path string
	f    *os.File
}

func newReportFile(path string) (*reportFile, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a symbolic link stays a link
	}
	switch info, err := os.Stat(path); {
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("-report: %s is not a regular file", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("-report: %w", err)
	}
	beside := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:8])
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return nil, fmt.Errorf("-report: a file can't be made in %s: %w", filepath.Dir(path), pathErr.Err)
	} else if err != nil {
		return nil, fmt.Errorf("-report: %w", err)
	}
	return &reportFile{path, f}, nil
}

// write replaces the file with what the function writes.
func (r *reportFile) write(write func(io.Writer) error) error {
	w := bufio.NewWriter(r.f)
	err := write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = r.f.Sync()
	}
	if err == nil {
		err = os.Rename(r.f.Name(), r.path)
	}
	if err != nil {
		return fmt.Errorf("-report: %w", err)
	}
	return nil
}

// close removes the temporary file, if it did not become the report.
func (r *reportFile) close() {
	_ = r.f.Close()
	_ = os.Remove(r.f.Name()) // fails if it was renamed
}
