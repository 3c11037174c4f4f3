package raftstore

import (
	"os"
	"path/filepath"
)

// closeState closes the state file of a node that does not start. One that was made for that, and holds nothing, goes:
// what is refused stays as it was.
func (n *node) closeState(made bool) {
	applied, _ := n.state.Applied()
	if err := n.state.Close(); err == nil && made && applied == 0 {
		_ = os.Remove(filepath.Join(n.cfg.Dir, stateFile))
	}
}
