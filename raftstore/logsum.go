package raftstore

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/sum"
)

// A summedLog adds a CRC-32C to each log entry, behind its extensions, and to each of the values kept beside the log:
// neither library notices, in an entry that it is asked for, what the disk has changed.
type summedLog struct{ logFiles }

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

// GetLog reads an entry. One that is not as it was stored is ErrDisk.
func (l *summedLog) GetLog(index uint64, e *raft.Log) error {
	if err := l.logFiles.GetLog(index, e); err != nil {
		return err
	}
	extensions, ok := sum.Cut(e.Extensions, head(e), e.Data)
	if !ok || e.Index != index {
		return fmt.Errorf("%w: log entry %d is not as it was written", ErrDisk, index)
	}
	e.Extensions = extensions
	return nil
}

// Set stores a value.
func (l *summedLog) Set(key, value []byte) error {
	return l.logFiles.Set(key, sum.Append(slices.Clip(value), key))
}

// Get reads a value. One that is not as it was stored is ErrDisk; one that isn't there is what the library makes of it.
func (l *summedLog) Get(key []byte) ([]byte, error) {
	v, err := l.logFiles.Get(key)
	if err != nil || v == nil {
		return nil, err
	}
	value, ok := sum.Cut(v, key)
	if !ok {
		return nil, fmt.Errorf("%w: the %s beside the log is not as it was written", ErrDisk, key)
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
		return 0, fmt.Errorf("%w: the %s beside the log is no number", ErrDisk, key)
	}
	return binary.BigEndian.Uint64(v), nil
}
