package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

// WriteTo flushes the state and writes the file's bytes to w from one read transaction, so that what is written is a
// whole state file at or past the index that was applied when WriteTo was called. Apply goes on meanwhile.
func (m *Machine) WriteTo(w io.Writer) (int64, error) {
	if err := m.Flush(); err != nil {
		return 0, err
	}
	m.mu.RLock()
	db := m.db
	m.mu.RUnlock()
	var n int64
	err := db.View(func(tx *bbolt.Tx) (err error) {
		n, err = tx.WriteTo(w)
		return err
	})
	return n, err
}

// Restore replaces the state by a state file read from r: what WriteTo wrote elsewhere. It is complete, synced and
// checked before it takes the place of the old one by rename.
func (m *Machine) Restore(r io.Reader) error {
	received := m.path + ".received"
	if err := writeSynced(received, r); err != nil {
		return fmt.Errorf("receive state: %w", err)
	}
	return m.Install(received)
}

// Install replaces the state by the state file at the path, which is moved to where this machine's file is. A file that
// is not a whole state file is refused, and the state stays as it was.
func (m *Machine) Install(received string) error {
	switch fi, err := os.Stat(received); {
	case err != nil:
		return err
	case fi.Size() == 0: // it would be made a new one
		return fmt.Errorf("state file %s: %w: it is empty", received, boltfile.ErrDamaged)
	}
	db, err := openFile(received, false)
	if err != nil {
		return err
	}
	c, err := load(received, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}

	m.flushMu.Lock()
	defer m.flushMu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.room.Broadcast()
	if m.err != nil {
		return m.err
	}
	if err := m.replace(received); err != nil {
		m.err = fmt.Errorf("install received state: %w", err)
		return m.err
	}
	m.c, m.dirty, m.held, m.flushed = c, changes{}, 0, c.applied
	m.tell()
	return nil
}

// replace puts the received file in the place of this machine's, which waits until nobody reads the old one.
func (m *Machine) replace(received string) error {
	if err := m.db.Close(); err != nil {
		return err
	}
	if err := os.Rename(received, m.path); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(m.path)); err != nil {
		return err
	}
	db, err := openFile(m.path, false)
	if err != nil {
		return err
	}
	m.db = db
	return nil
}

func writeSynced(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
