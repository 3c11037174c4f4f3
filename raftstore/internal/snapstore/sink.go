package snapstore

import (
	"errors"
	"fmt"
	"os"

	"github.com/distcache/distcache/raftstore/internal/files"
)

// A Sink is a snapshot in the making.
type Sink struct {
	store *Store
	meta  meta
	own   bool
	file  *os.File
	dirty int // bytes written and not synced
	done  bool
}

// syncBytes is how much is written between two syncs. One sync of a large file would block other syncs on that disk for
// seconds.
const syncBytes = 4 << 20

// ID is the snapshot's.
func (k *Sink) ID() string { return k.meta.ID }

// Own says that this is a snapshot of this node's own state, which the state file holds: no bytes will be written.
func (k *Sink) Own() { k.own = true }

// Write takes bytes of another node's snapshot.
func (k *Sink) Write(p []byte) (int, error) {
	if k.file == nil {
		f, err := os.OpenFile(k.store.path(incomingFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return 0, err
		}
		k.file = f
	}
	n, err := k.file.Write(p)
	k.dirty += n
	if err == nil && k.dirty >= syncBytes {
		k.dirty = 0
		err = k.file.Sync()
	}
	return n, err
}

// Close makes the snapshot the newest one. Received bytes are checked, synced and have their final name before the
// record says that they are there; the record counts.
func (k *Sink) Close() error {
	if k.done {
		return nil
	}
	k.done = true
	if !k.own {
		if err := k.complete(); err != nil {
			return err
		}
	}
	s := k.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.own {
		switch {
		case s.newest != nil && s.newest.Received:
			return errors.New("a received snapshot has not been installed yet")
		case s.newest != nil && s.newest.Meta.Index > k.meta.Index: // Raft would go back to where it was
			return errors.New("a newer snapshot was received meanwhile")
		}
		r := &record{Meta: k.meta}
		if s.newest != nil {
			r.Ahead = s.newest.Ahead
		}
		return s.save(r)
	}
	if err := os.Rename(s.path(incomingFile), s.path(receivedFile)); err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return err
	}
	return s.save(&record{Meta: k.meta, Received: true})
}

// complete makes sure that the received bytes are on disk, and a state.
func (k *Sink) complete() error {
	if k.file == nil {
		return errors.New("an empty snapshot was received")
	}
	path := k.store.path(incomingFile)
	err := errors.Join(k.file.Sync(), k.file.Close())
	if err == nil {
		err = k.store.check(path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("received snapshot: %w", err), files.Remove(path))
	}
	return nil
}

// Cancel drops the snapshot.
func (k *Sink) Cancel() error {
	if k.done {
		return nil
	}
	k.done = true
	if k.file == nil {
		return nil
	}
	return errors.Join(k.file.Close(), os.Remove(k.store.path(incomingFile)))
}
