package raftlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ownerKey is the key, beside the votes, of the ID of the server that owns the log.
var ownerKey = []byte("ServerID")

// CheckThere refuses, with ErrForeign, a data directory without a log, before Open creates an empty log there. A node
// that has voted or acknowledged entries must not start with an empty log.
func CheckThere(dir string, kind Kind) error {
	for _, name := range Names() { // Open sorts out the names of an interrupted conversion
		if there, err := holdsSomething(filepath.Join(dir, name)); there || err != nil {
			return err
		}
	}
	return VotesLost(kind)
}

// Claim refuses, with ErrForeign, a log of another server, and a new log in the place of a lost one: the node may have
// voted and acknowledged entries that it no longer knows of. A fresh node has neither voted nor acknowledged anything.
// It becomes the owner of its new log.
func (l *Log) Claim(fresh bool) error {
	owner, err := l.Get(ownerKey)
	if err := unlessMissing(err); err != nil {
		return fmt.Errorf("raft log: %w", err)
	}
	switch {
	case string(owner) == string(l.self):
		return nil
	case len(owner) > 0:
		return fmt.Errorf("%w: the %s in it is the log of %s, and node.json is that of %s",
			ErrForeign, l.kind.File(), owner, l.self)
	case !fresh:
		return VotesLost(l.kind)
	}
	return l.Set(ownerKey, []byte(l.self))
}

// VotesLost is the error for a node that may have voted, but has lost the record of its votes.
func VotesLost(kind Kind) error {
	return fmt.Errorf("%w: the %s of this node is gone or empty: its votes are lost", ErrForeign, kind.File())
}

// holdsSomething tells whether path is a file or directory that is not empty.
func holdsSomething(path string) (bool, error) {
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, wrapped(err)
	case !fi.IsDir():
		return fi.Size() > 0, nil
	}
	names, err := os.ReadDir(path)
	return len(names) > 0, wrapped(err)
}
