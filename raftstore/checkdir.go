package raftstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distcache/distcache/raftstore/internal/raftlog"
)

// CheckDir refuses, with ErrForeign, a data directory that is no node's and is not empty either: it was most likely
// given by mistake. Besides what a node makes, names that begin with a dot, lost+found, sockets and the files known to
// the caller may be there. It is for before Open, and makes nothing; a directory that is not there is no error.
func CheckDir(dir string, known ...os.FileInfo) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	var strange []string
	for _, e := range entries {
		if e.Name() == identityFile {
			return nil
		}
		if strings.HasPrefix(e.Name(), ".") || e.Type() == fs.ModeSocket || ofNode(e.Name()) || e.Name() == "lost+found" {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err == nil && slices.ContainsFunc(known, func(k os.FileInfo) bool { return os.SameFile(k, info) }) {
			continue
		}
		strange = append(strange, e.Name())
	}
	if len(strange) == 0 {
		return nil
	}
	if len(strange) > 3 {
		strange = append(strange[:3], "…")
	}
	return fmt.Errorf("%w: %s is no node's: it has %s, and no %s", ErrForeign, dir, strings.Join(strange, ", "), identityFile)
}

// ofNode tells whether a node makes a file of that name, or such a one beside it on the way there.
func ofNode(name string) bool {
	for _, own := range append(raftlog.Names(), identityFile, stateFile, snapshotDir, lockFile) {
		if name == own || strings.HasPrefix(name, own+".") {
			return true
		}
	}
	return false
}
