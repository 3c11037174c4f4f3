package walfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

// prepare holds the files of a log against the rules of their formats, and readies the last one for being appended to.
func prepare(dir string) error {
	path := filepath.Join(dir, metadb.FileName)
	segments, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		return err
	}
	switch _, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist) && len(segments) == 0:
		return nil // a new log
	case errors.Is(err, os.ErrNotExist):
		// The library would take the others for left over, and delete them.
		return fmt.Errorf("%s: %w: it is missing, and other files of the log are there", path, ErrDamaged)
	case err != nil:
		return err
	}
	db, err := boltfile.Open(path)
	if err != nil {
		return err
	}
	err = boltfile.Guard(path, func() error { return prepareWith(dir, db, len(segments)) })
	return errors.Join(err, db.Close())
}

func prepareWith(dir string, db *bbolt.DB, files int) error {
	var state types.PersistentState
	err := db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte(metadb.MetaBucket))
		if meta == nil || tx.Bucket([]byte(metadb.StableBucket)) == nil {
			return fmt.Errorf("%w: it is not that of a log", ErrDamaged)
		}
		raw := meta.Get([]byte(metadb.MetaKey))
		switch {
		case raw == nil && files > 0:
			return fmt.Errorf("%w: it names no files, and there are some", ErrDamaged)
		case raw == nil:
			return nil
		}
		if err := json.Unmarshal(raw, &state); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return checkState(state)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", db.Path(), err)
	}
	for _, si := range state.Segments {
		path := filepath.Join(dir, segment.FileName(si))
		if si.SealTime.IsZero() {
			err = prepareTail(path, si, func(s scan) error { return rotate(db, state, s) })
		} else {
			err = checkSealed(path, si)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// checkState holds the list of files against its rules: each goes on where the one before ends, and the last one is not
// finished.
func checkState(state types.PersistentState) error {
	for i, si := range state.Segments {
		sealed := !si.SealTime.IsZero()
		last := i == len(state.Segments)-1
		if sealed == last || si.Codec != wal.CodecBinaryV1 || si.ID >= state.NextSegmentID ||
			si.BaseIndex == 0 || si.MinIndex < si.BaseIndex || sealed && si.MaxIndex < si.MinIndex ||
			i > 0 && si.BaseIndex != state.Segments[i-1].MaxIndex+1 {
			return fmt.Errorf("%w: its list of files is not in order", ErrDamaged)
		}
	}
	return nil
}

func checkSealed(path string, si types.SegmentInfo) error {
	b, _, err := readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: it is missing", ErrDamaged)
	}
	if err != nil {
		return err
	}
	s, err := scanSegment(b, si)
	if err != nil {
		return err
	}
	if s.index == 0 || s.index != si.IndexStart || s.entries < si.MaxIndex-si.BaseIndex+1 {
		return fmt.Errorf("%w: it ends early", ErrDamaged)
	}
	return nil
}

// prepareTail checks the file that is appended to. rotate is called when the file is finished and a new one was not
// begun.
func prepareTail(path string, si types.SegmentInfo, rotate func(scan) error) error {
	b, size, err := readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it is made after it is listed
	}
	if err != nil {
		return err
	}
	s, err := scanSegment(b, si)
	if err != nil {
		return err
	}
	switch short := size < int64(si.SizeLimit); {
	case short && s.end == 0 && s.torn == 0:
		return os.Remove(path) // it was not wholly made
	case short:
		// The file has its size before the first write to it.
		return fmt.Errorf("%w: it is cut short, %d bytes of %d", ErrDamaged, size, si.SizeLimit)
	case s.index > 0:
		return rotate(s)
	case s.torn > 0:
		return erase(path, s.end, s.torn)
	}
	return nil
}

// rotate lists the last file as finished, and a new file after it. The library does that after the write that fills a
// file. If a crash came in between, the library does not do it at its next start, and can't store another entry.
func rotate(db *bbolt.DB, state types.PersistentState, s scan) error {
	now := time.Now()
	tail := &state.Segments[len(state.Segments)-1]
	next := types.SegmentInfo{
		ID:         state.NextSegmentID,
		BaseIndex:  tail.BaseIndex + s.entries,
		MinIndex:   tail.BaseIndex + s.entries,
		Codec:      tail.Codec,
		CreateTime: now,
		SizeLimit:  tail.SizeLimit,
	}
	tail.SealTime, tail.MaxIndex, tail.IndexStart = now, next.BaseIndex-1, s.index
	state.NextSegmentID++
	state.Segments = append(state.Segments, next)
	raw, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(metadb.MetaBucket)).Put([]byte(metadb.MetaKey), raw)
	})
}

// readFile reads a file, without the part at its end that was never written.
func readFile(path string) (b []byte, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	size = fi.Size()
	used := int64(0)
	for used < size {
		begin, err := unix.Seek(int(f.Fd()), used, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole, to the end
		}
		end := size
		if err == nil {
			end, err = unix.Seek(int(f.Fd()), begin, unix.SEEK_HOLE)
		}
		if err != nil {
			end = size // not every file system knows of holes
		}
		used = end
	}
	b = make([]byte, used)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	return b, size, nil
}

// erase zeroes the remains of a write that a crash has interrupted. The library ignores such remains, except an index,
// which makes it take the file for finished.
func erase(path string, from, to int) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, to-from), int64(from))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
