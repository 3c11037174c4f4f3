package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/files"
)

// Stream flushes the state, and returns the size and the bytes of the file from one read transaction: a whole state
// file at or past the index that was applied when Stream was called. Apply goes on meanwhile. The caller must close
// the stream; Close of the Machine breaks it off.
func (m *Machine) Stream() (size int64, r io.ReadCloser, err error) {
	if err := m.Flush(); err != nil {
		return 0, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return 0, nil, m.err
	case m.replacing:
		return 0, nil, errors.New("the state is being replaced")
	}
	tx, err := m.db.Begin(false)
	if err != nil {
		return 0, nil, fmt.Errorf("read state file %s: %w", m.path, err)
	}
	out, in := io.Pipe()
	s := &stream{PipeReader: out, m: m, db: m.db, done: make(chan struct{})}
	m.streams[s] = struct{}{}
	size = tx.Size()
	go func() {
		defer close(s.done)
		_, err := tx.WriteTo(in)
		in.CloseWithError(err) // nil: the end
		tx.Rollback()
	}()
	return size, s, nil
}

// A stream is a state file on its way to another node.
type stream struct {
	*io.PipeReader
	m    *Machine
	db   *bbolt.DB // that it reads
	done chan struct{}
}

// Close ends the stream, wherever it is, and the transaction that it reads.
func (s *stream) Close() error {
	s.m.mu.Lock()
	delete(s.m.streams, s)
	s.m.mu.Unlock()
	s.PipeReader.CloseWithError(ErrClosed)
	<-s.done
	return nil
}

// breakStreams ends all streams, so that the file can be closed.
func (m *Machine) breakStreams() {
	m.mu.Lock()
	var open []*stream
	for s := range m.streams {
		open = append(open, s)
	}
	m.mu.Unlock()
	for _, s := range open {
		s.Close()
	}
}

// Install replaces the state by the state file at the path, which is moved to where this machine's file is. A file that
// is not a whole state file is refused, and the state stays as it was.
func (m *Machine) Install(received string) error {
	c, err := m.receive(received)
	if err != nil {
		return err
	}

	m.mu.Lock()
	m.replacing = true
	m.mu.Unlock()
	m.breakStreams()
	m.stopCompacting()

	m.flushMu.Lock()
	defer m.flushMu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.room.Broadcast()
	m.replacing = false
	if m.err != nil {
		return m.err
	}
	if err := m.replace(received); err != nil {
		m.err = fmt.Errorf("install received state: %w", err)
		return m.err
	}
	m.c, m.dirty, m.held, m.flushed = c, changes{}, 0, c.applied
	clear(m.fresh)
	return nil
}

// A receipt is the content of a received file that Check has read, for Install, which may find the file renamed.
type receipt struct {
	file os.FileInfo
	c    contents
}

// Check tells whether a received file can be installed. What it reads is kept for the Install that follows.
func (m *Machine) Check(received string) error {
	m.receipt.Store(nil)
	fi, err := os.Stat(received)
	if err != nil {
		return err
	}
	c, err := readReceived(received)
	if err != nil {
		return err
	}
	m.receipt.Store(&receipt{fi, c})
	return nil
}

func readReceived(path string) (contents, error) {
	c, empty, err := read(path)
	if err == nil && empty {
		err = fmt.Errorf("state file %s: %w: it is empty", path, boltfile.ErrDamaged)
	}
	return c, err
}

// receive returns the content of a received file. Normally Check has read the file already.
func (m *Machine) receive(received string) (contents, error) {
	r := m.receipt.Swap(nil)
	if fi, err := os.Stat(received); err == nil && r != nil &&
		os.SameFile(fi, r.file) && fi.Size() == r.file.Size() && fi.ModTime().Equal(r.file.ModTime()) {
		return r.c, nil
	}
	return readReceived(received)
}

// replace puts the received file in the place of this machine's, which waits until nobody reads the old one.
func (m *Machine) replace(received string) error {
	if err := m.db.Close(); err != nil {
		return err
	}
	if err := os.Rename(received, m.path); err != nil {
		return err
	}
	if err := files.SyncDir(filepath.Dir(m.path)); err != nil {
		return err
	}
	db, err := openFile(m.path, false)
	if err != nil {
		return err
	}
	m.db = db
	return nil
}
