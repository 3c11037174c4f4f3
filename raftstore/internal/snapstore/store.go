// Package snapstore keeps Raft's snapshots without copying the state. A node's state file is a snapshot at all times,
// so a snapshot's record has only the index, term and configuration. Only a snapshot that another node sent has bytes
// of its own, until they become the state file.
//
//   - A snapshot of this node's own is announced at index S when the state file holds S or more. Opening it streams the
//     file as it is then, at A >= S; the receiver's state machine skips the log entries up to A.
//   - A received snapshot is complete, checked and synced before it counts. Opening it gives the received bytes. It
//     becomes the state file by rename (Installed), and from then on counts as this node's own snapshot.
//   - After a crash between receiving and installing, the next start installs the snapshot: see Pending.
//
// The directory holds meta.json, the newest snapshot's record, replaced as a whole; and received.db or incoming.db
// while there is one. Only the newest snapshot is kept.
package snapstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/files"
)

const (
	metaFile     = "meta.json"
	receivedFile = "received.db"
	incomingFile = "incoming.db"
)

// A Live gives the state file's bytes as of one moment, and their exact number.
type Live func() (size int64, r io.ReadCloser, err error)

// A Store is a raft.SnapshotStore.
type Store struct {
	dir   string
	live  Live
	check func(file string) error

	mu     sync.Mutex
	newest *record
}

var _ raft.SnapshotStore = (*Store)(nil)

// meta is what Raft knows of a snapshot.
type meta = raft.SnapshotMeta

// A record is what is kept of a snapshot.
type record struct {
	Meta     meta   `json:"meta"`
	Received bool   `json:"received"` // its bytes are in received.db, or have just become the state file
	Ahead    uint64 `json:"ahead"`    // the index of the state that was received last: the log may end before it
}

// Open opens the directory, or makes it. live gives the state file.
func Open(dir string, live Live) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{dir: dir, live: live, check: func(string) error { return nil }}
	if err := files.Remove(s.path(incomingFile)); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	if s.newest == nil || !s.newest.Received { // left by a crash before the record was written
		if err := files.Remove(s.path(receivedFile)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Check sets the function that tells whether a received file can become the state file; the default accepts any file. A
// file that is refused is dropped, since its record would replace the record with which this node can start. Check is
// called before the first snapshot arrives.
func (s *Store) Check(f func(file string) error) { s.check = f }

func (s *Store) load() error {
	b, err := os.ReadFile(s.path(metaFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil || r.Meta.ID == "" {
		return fmt.Errorf("%s is not readable as a snapshot's record", s.path(metaFile))
	}
	s.newest = &r
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// Newest is the index of the newest snapshot, 0 when there is none.
func (s *Store) Newest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		return 0
	}
	return s.newest.Meta.Index
}

// Unfinished gives the index and term of the last entry of a received snapshot that is not recorded as installed, false
// when there is none.
func (s *Store) Unfinished() (index, term uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil || !s.newest.Received {
		return 0, 0, false
	}
	return s.newest.Meta.Index, s.newest.Meta.Term, true
}

// Pending is the file of a received snapshot that has not become the state file yet, empty when there is none.
func (s *Store) Pending() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil || !s.newest.Received {
		return ""
	}
	if _, err := os.Stat(s.path(receivedFile)); err != nil {
		return ""
	}
	return s.path(receivedFile)
}

// Ahead is the index of the last received state, 0 when none was ever received. The log may end before that index.
func (s *Store) Ahead() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		return 0
	}
	return s.newest.Ahead
}

// Installed records that the newest snapshot has become the state file, whose applied index is given. From now on Open
// reads the state file.
func (s *Store) Installed(applied uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil || !s.newest.Received {
		return nil
	}
	r := *s.newest
	r.Received, r.Ahead = false, applied
	if err := s.save(&r); err != nil {
		return err
	}
	return files.Remove(s.path(receivedFile))
}

// save replaces the record. Called with mu held.
func (s *Store) save(r *record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := files.Replace(s.path(metaFile), b); err != nil {
		return err
	}
	s.newest = r
	return nil
}

func (s *Store) sync() error { return files.SyncDir(s.dir) }

// List gives the newest snapshot's record.
func (s *Store) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		return nil, nil
	}
	m := s.newest.Meta
	return []*raft.SnapshotMeta{&m}, nil
}

// Open gives a snapshot's record, its Size exact, and its bytes.
func (s *Store) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil || s.newest.Meta.ID != id {
		return nil, nil, fmt.Errorf("there is no snapshot %s", id)
	}
	m := s.newest.Meta
	if !s.newest.Received {
		size, r, err := s.live()
		if err != nil {
			return nil, nil, err
		}
		m.Size = size
		return &m, r, nil
	}
	f, err := os.Open(s.path(receivedFile))
	if err != nil {
		return nil, nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	m.Size = fi.Size()
	return &m, &Received{File: f, Index: m.Index, Term: m.Term, store: s}, nil
}

// Received is the file of a received snapshot, which the state machine installs under the file's name.
type Received struct {
	*os.File
	Index, Term uint64 // of the snapshot's last entry
	store       *Store
}

// Installed notes that the file has become the state file.
func (r *Received) Installed(applied uint64) error { return r.store.Installed(applied) }

// Create begins a snapshot. Its sink is told that it is of this node's own (Sink.Own), or is given the bytes of
// another's.
func (s *Store) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != 1 {
		return nil, fmt.Errorf("snapshot version %d is not supported", version)
	}
	return &Sink{store: s, meta: raft.SnapshotMeta{
		Version:            version,
		ID:                 fmt.Sprintf("%d-%d-%d", term, index, time.Now().UnixMilli()),
		Index:              index,
		Term:               term,
		Configuration:      configuration,
		ConfigurationIndex: configurationIndex,
	}}, nil
}
