package raftstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// checkLog refuses a member whose log is gone, before an empty one is made in its place.
func checkLog(cfg Config, id identity) error {
	if id.Phase != phaseMember {
		return nil
	}
	for _, name := range logNames() { // openLog knows what the others mean
		if there, err := holdsSomething(filepath.Join(cfg.Dir, name)); there || err != nil {
			return err
		}
	}
	return votesLost(cfg.RaftLog)
}

// votesLost is the error for a member that may have voted, and does not know for whom.
func votesLost(kind LogKind) error {
	return fmt.Errorf("%w: the %s of this node is gone or empty: its votes are lost", ErrForeign, kind.file())
}

// holdsSomething tells whether there is a file that is not empty, or a directory of which that is true.
func holdsSomething(path string) (bool, error) {
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("raft log: %w", err)
	case !fi.IsDir():
		return fi.Size() > 0, nil
	}
	names, err := os.ReadDir(path)
	if err != nil {
		return false, fmt.Errorf("raft log: %w", err)
	}
	return len(names) > 0, nil
}

// closeState closes the state file of a node that does not start. One that was made for that, and holds nothing, goes:
// what is refused stays as it was.
func (n *node) closeState(made bool) {
	applied, _ := n.state.Applied()
	if err := n.state.Close(); err == nil && made && applied == 0 {
		_ = os.Remove(filepath.Join(n.cfg.Dir, stateFile))
	}
}
