package raftstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// checkLog refuses a node whose log is gone, before an empty one is made in its place. Only one that has promised nobody
// anything may begin with an empty log.
func checkLog(cfg Config, id identity) error {
	if id.fresh() {
		return nil
	}
	for _, name := range logNames() { // openLog knows what the others mean
		if there, err := holdsSomething(filepath.Join(cfg.Dir, name)); there || err != nil {
			return err
		}
	}
	return votesLost(cfg.RaftLog)
}

// ownerKey is where the log says whose it is, beside the votes.
var ownerKey = []byte("ServerID")

// claimLog refuses a log that is another server's, or a new one in the place of one that is gone: the node may have voted
// and acknowledged entries, and would not know. A fresh node's log is made its own.
func claimLog(log raft.StableStore, kind LogKind, id identity) error {
	owner, err := log.Get(ownerKey)
	if err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return fmt.Errorf("raft log: %w", err)
	}
	switch {
	case string(owner) == string(id.ID()):
		return nil
	case len(owner) > 0:
		return fmt.Errorf("%w: the %s in it is the log of %s, and node.json is that of %s", ErrForeign, kind.file(), owner, id.ID())
	case !id.fresh():
		return votesLost(kind)
	}
	if err := log.Set(ownerKey, []byte(id.ID())); err != nil {
		return fmt.Errorf("%w: write to the log: %w", ErrDisk, err)
	}
	return nil
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
