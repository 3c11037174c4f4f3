package raftstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/raftstore/internal/files"
	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// The files in the data directory, besides those of the log.
const (
	lockFile     = "lock"
	identityFile = "node.json"
	stateFile    = "state.db"
	snapshotDir  = "snapshots"
)

// An identity is what node.json says: who this node is, and how it came to its cluster.
type identity struct {
	Format      int    `json:"format"`
	Name        string `json:"name"`
	Incarnation string `json:"incarnation"` // made with the directory, or when the node gives up its state; see serverID
	Phase       phase  `json:"phase"`
	// Join are the addresses through which it joins, when it was told to while it ran.
	Join []string `json:"join,omitempty"`
	// Founder is the ID of the node, perhaps this one, that may found the cluster with this one among its voters. See
	// found.go.
	Founder serverid.ID `json:"founder,omitempty"`
	// Discard is set while the node gives up what it has, so that an interruption is made good at the next start.
	Discard bool `json:"discard,omitempty"`
}

// ID is the node's as a Raft server.
func (id identity) ID() serverid.ID { return serverid.New(id.Name, id.Incarnation) }

// fresh tells whether the node has promised nobody anything: its files may be lost without harm.
func (id identity) fresh() bool { return id.Phase == phaseNew && id.Founder == "" }

// A phase is how far a node has come.
type phase string

const (
	phaseNew      phase = "new"      // it belongs to no cluster yet; with a Founder, it may become a voter of one
	phaseAdmitted phase = "admitted" // a cluster has taken it in, and its log may not have come yet
	phaseMember   phase = "member"   // its own log has it in the cluster
	phaseLeft     phase = "left"     // it left
	phaseRemoved  phase = "removed"  // it was taken out
)

func (p phase) known() bool {
	switch p {
	case phaseNew, phaseAdmitted, phaseMember, phaseLeft, phaseRemoved:
		return true
	}
	return false
}

// identityFormat is 2. In 1, nodes of a name were told apart beside Raft, which knew the name only.
const identityFormat = 2

func newIdentity(name string) identity {
	return identity{Format: identityFormat, Name: name, Incarnation: serverid.NewIncarnation(), Phase: phaseNew}
}

// lockDir makes the directory and takes its lock, which lasts as long as the file is open.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
		}
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	return f, nil
}

// NodeName is what the node of a data directory is called, empty where there is none yet. It is for before Open.
func NodeName(dir string) (string, error) {
	id, err := readIdentity(dir)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return id.Name, err
}

// loadIdentity reads node.json, or makes one in a directory that has none.
func loadIdentity(dir, name string) (identity, error) {
	id, err := readIdentity(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := checkEmpty(dir); err != nil {
			return identity{}, err
		}
		id := newIdentity(name)
		return id, id.save(dir)
	case err != nil:
		return identity{}, err
	case id.Name != name:
		return identity{}, fmt.Errorf("%w: %s belongs to node %s, and this one is called %s",
			ErrForeign, dir, id.Name, name)
	}
	return id, nil
}

// readIdentity reads node.json.
func readIdentity(dir string) (id identity, err error) {
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return id, fmt.Errorf("data directory: %w", err)
	}
	err = json.Unmarshal(b, &id)
	switch {
	case err == nil && id.Format == 1:
		return identity{}, fmt.Errorf("%w: %s is of an earlier version, whose nodes do not work together with this one: "+
			"stop all nodes of the cluster, empty their directories, and start them, without the sessions that were there", ErrForeign, path)
	case err != nil || id.Format != identityFormat || !id.ID().Valid() || !id.Phase.known():
		return identity{}, fmt.Errorf("%w: %s is not readable as a node's identity", ErrForeign, path)
	}
	return id, nil
}

// checkEmpty refuses a directory without node.json that has other files of a node.
func checkEmpty(dir string) error {
	for _, name := range append(raftlog.Names(), stateFile) {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%w: %s has %s but no %s: put that file back, or empty the directory, so that the node starts anew or joins its cluster",
				ErrForeign, dir, name, identityFile)
		}
	}
	return nil
}

// save replaces node.json so that a crash leaves the old one or the new one.
func (id identity) save(dir string) error {
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, identityFile)
	if err := files.Replace(path, append(b, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
