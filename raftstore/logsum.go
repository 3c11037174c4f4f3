package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/distcache/distcache/raftstore/internal/sum"
)

// A summedLog adds a CRC-32C to each log entry, behind its extensions, and to each of the values kept beside the log:
// neither library notices, in an entry that it is asked for, what the disk has changed. What can't be read, or is not as
// it was stored, is a damage.
type summedLog struct {
	logFiles
	path string // of the file, or directory, for messages
}

// A damage is something in the log that this node can't go on with. It is ErrDisk.
type damage struct {
	path  string
	what  string
	cause error // of the library; nil: the sum is another one
}

func (d *damage) Error() string {
	if d.cause != nil {
		return fmt.Sprintf("%v: %s: %s can't be read: %v", ErrDisk, d.path, d.what, d.cause)
	}
	return fmt.Sprintf("%v: %s: %s is not as it was written", ErrDisk, d.path, d.what)
}

func (d *damage) Unwrap() []error { return []error{ErrDisk, d.cause} }

// unreadable makes a damage of what the library says of a read, unless that is nil or means that nothing is there.
func (l *summedLog) unreadable(err error, what string, args ...any) error {
	if err == nil || errors.Is(err, raft.ErrLogNotFound) || errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return err
	}
	return &damage{l.path, fmt.Sprintf(what, args...), err}
}

func (l *summedLog) changed(what string, args ...any) error {
	return &damage{l.path, fmt.Sprintf(what, args...), nil}
}

// FirstIndex is that of the oldest entry, 0 when there is none.
func (l *summedLog) FirstIndex() (uint64, error) {
	index, err := l.logFiles.FirstIndex()
	return index, l.unreadable(err, "the first index")
}

// LastIndex is that of the newest entry, 0 when there is none.
func (l *summedLog) LastIndex() (uint64, error) {
	index, err := l.logFiles.LastIndex()
	return index, l.unreadable(err, "the last index")
}

// head is what an entry means to Raft, beside its data. The time at which it was appended means nothing.
func head(e *raft.Log) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 17), e.Index)
	b = binary.BigEndian.AppendUint64(b, e.Term)
	return append(b, byte(e.Type))
}

// StoreLog stores one entry.
func (l *summedLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs stores entries. They stay as they are: Raft keeps them, and sends them to others.
func (l *summedLog) StoreLogs(es []*raft.Log) error {
	summed := make([]raft.Log, len(es))
	pointers := make([]*raft.Log, len(es))
	for i, e := range es {
		summed[i], pointers[i] = *e, &summed[i]
		summed[i].Extensions = sum.Append(slices.Clip(e.Extensions), head(e), e.Data)
	}
	return l.logFiles.StoreLogs(pointers)
}

// GetLog reads an entry. The error is raft.ErrLogNotFound when it isn't there, and otherwise a damage.
func (l *summedLog) GetLog(index uint64, e *raft.Log) error {
	if err := l.logFiles.GetLog(index, e); err != nil {
		return l.unreadable(err, "log entry %d", index)
	}
	extensions, ok := sum.Cut(e.Extensions, head(e), e.Data)
	if !ok || e.Index != index {
		return l.changed("log entry %d", index)
	}
	e.Extensions = extensions
	return nil
}

// Set stores a value.
func (l *summedLog) Set(key, value []byte) error {
	return l.logFiles.Set(key, sum.Append(slices.Clip(value), key))
}

// Get reads a value. One that isn't there is what the library makes of it: nil, or raftboltdb.ErrKeyNotFound. Any other
// error is a damage.
func (l *summedLog) Get(key []byte) ([]byte, error) {
	v, err := l.logFiles.Get(key)
	if err != nil || v == nil {
		return nil, l.unreadable(err, "the %s beside the log", key)
	}
	value, ok := sum.Cut(v, key)
	if !ok {
		return nil, l.changed("the %s beside the log", key)
	}
	return value, nil
}

// SetUint64 stores a number.
func (l *summedLog) SetUint64(key []byte, value uint64) error {
	return l.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// GetUint64 reads a number.
func (l *summedLog) GetUint64(key []byte) (uint64, error) {
	v, err := l.Get(key)
	switch {
	case err != nil || v == nil:
		return 0, err
	case len(v) != 8:
		return 0, l.changed("the %s beside the log", key)
	}
	return binary.BigEndian.Uint64(v), nil
}
