package raftstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// A summedLog adds a CRC-32C to each log entry, behind its extensions, and to each of the values kept beside the log:
// neither library notices, in an entry that it is asked for, what the disk has changed.
type summedLog struct{ logFiles }

const sumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf covers what an entry means to Raft. The time at which it was appended means nothing.
func sumOf(e *raft.Log, extensions []byte) uint32 {
	var head [17]byte
	binary.BigEndian.PutUint64(head[:], e.Index)
	binary.BigEndian.PutUint64(head[8:], e.Term)
	head[16] = byte(e.Type)
	sum := crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, e.Data)
	return crc32.Update(sum, castagnoli, extensions)
}

// StoreLog stores one entry.
func (l *summedLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs stores entries. They stay as they are: Raft keeps them, and sends them to others.
func (l *summedLog) StoreLogs(es []*raft.Log) error {
	summed := make([]raft.Log, len(es))
	pointers := make([]*raft.Log, len(es))
	for i, e := range es {
		summed[i], pointers[i] = *e, &summed[i]
		own := e.Extensions[:len(e.Extensions):len(e.Extensions)]
		summed[i].Extensions = binary.BigEndian.AppendUint32(own, sumOf(e, own))
	}
	return l.logFiles.StoreLogs(pointers)
}

// GetLog reads an entry. One that is not as it was stored is ErrDisk.
func (l *summedLog) GetLog(index uint64, e *raft.Log) error {
	if err := l.logFiles.GetLog(index, e); err != nil {
		return err
	}
	end := len(e.Extensions) - sumSize
	if end < 0 || e.Index != index || sumOf(e, e.Extensions[:end]) != binary.BigEndian.Uint32(e.Extensions[end:]) {
		return fmt.Errorf("%w: log entry %d is not as it was written", ErrDisk, index)
	}
	e.Extensions = e.Extensions[:end:end]
	return nil
}

// Set stores a value.
func (l *summedLog) Set(key, value []byte) error {
	summed := append(make([]byte, 0, len(value)+sumSize), value...)
	return l.logFiles.Set(key, binary.BigEndian.AppendUint32(summed, valueSum(key, value)))
}

// Get reads a value. One that is not as it was stored is ErrDisk; one that isn't there is what the library makes of it.
func (l *summedLog) Get(key []byte) ([]byte, error) {
	v, err := l.logFiles.Get(key)
	if err != nil || v == nil {
		return nil, err
	}
	end := len(v) - sumSize
	if end < 0 || valueSum(key, v[:end]) != binary.BigEndian.Uint32(v[end:]) {
		return nil, fmt.Errorf("%w: the %s beside the log is not as it was written", ErrDisk, key)
	}
	return v[:end], nil
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

func valueSum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}
