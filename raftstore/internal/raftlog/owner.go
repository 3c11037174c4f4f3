package raftlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ownerKey is where the log says whose it is, beside the votes.
var ownerKey = []byte("ServerID")

// CheckThere refuses, with ErrForeign, a data directory without a log, before Open makes an empty one in its place.
// Only a node that has promised nobody anything may begin with an empty log.
func CheckThere(dir string, kind Kind) error {
	for _, name := range Names() { // Open knows what the names of a conversion mean
		if there, err := holdsSomething(filepath.Join(dir, name)); there || err != nil {
			return err
		}
	}
	return VotesLost(kind)
}

// Claim refuses, with ErrForeign, a log that is another server's, or a new one in the place of one that is gone:
// the node may have voted and acknowledged entries, and would not know. A fresh node has promised nobody anything:
// its new log is made its own.
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

// VotesLost is the error for a node that may have voted, and does not know for whom.
func VotesLost(kind Kind) error {
	return fmt.Errorf("%w: the %s of this node is gone or empty: its votes are lost", ErrForeign, kind.File())
}

// holdsSomething tells whether there is a file that is not empty, or a directory of which that is true.
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
