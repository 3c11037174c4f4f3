// Package entry is the format of a Raft log entry of raftstore: a batch of operations with everything that applying
// them needs, so that no replica has to look at a clock or at its own settings.
//
// Version 3, or 4 if sealed sessions are added; integers big-endian:
//
//	offset size field
//	0      1    version   3 or 4
//	1      8    stamp     the leader's time, ms since 1970; if it is less than an earlier entry's, that one's counts
//	9      8    capacity  most sessions to keep, 0: no limit
//	17     4    count     operations that follow
//	21     4    sum       CRC-32C of all the rest of the entry, so that a damaged entry is not applied
//	25     …    operations
//
//	an operation:
//	0      1    kind      1 ADD, 2 REMOVE, 3 SESSION, 4 ADD of sealed data
//	1      8    origin    the client session of the process that took the request from its client
//	9      8    counter   the request's number there, from 1
//	17     4    waiting   counter minus the lowest number for which that process still awaits a result
//	21     1    id length 1..64; 0 with SESSION, which opens the client session origin and has nothing more
//	22     n    id
//	ADD only:
//	0      4    timeout   ms
//	4      4    data length
//	8      m    data
package entry

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/distcache/distcache/raftstore/internal/seal"
	"github.com/distcache/distcache/raftstore/internal/sum"
	"github.com/distcache/distcache/wire"
)

// FormatVersion is the version that this package writes, and SealedVersion that of entries which add sealed sessions, so
// that a program that does not know those says so. This package reads both.
const (
	FormatVersion = 3
	SealedVersion = 4
)

// HeaderSize is the number of bytes before the first operation.
const HeaderSize = sumAt + sum.Size

const sumAt = 21

const opHeaderSize = 22

// A Kind is what an operation does.
type Kind uint8

// The kinds of operation.
const (
	Add     Kind = 1
	Remove  Kind = 2
	Session Kind = 3 // opens the client session Origin (Raft thesis, section 6.3); no other field counts
)

// addSealed is the kind of an Add whose data are sealed, in an entry.
const addSealed Kind = 4

// ErrFormat matches the error for an entry that can't be read.
var ErrFormat = errors.New("log entry is malformed")

// A Header is what an entry says of all its operations.
type Header struct {
	Stamp    uint64 // ms since 1970
	Capacity uint64 // 0: no limit
	Count    int
	Sealed   bool // there are operations with sealed data
}

// An Identity identifies a request, so that a repeated request is not carried out twice.
type Identity struct {
	Origin  uint64 // the number of the client session of the process that took the request
	Counter uint64 // the request's number in the client session
	Low     uint64 // the lowest number for which the process still awaits a result
}

// An Op is one operation. A decoded one's ID and Data are parts of the entry.
type Op struct {
	Kind Kind
	Identity
	Timeout uint32 // ms; with Add
	ID      []byte // not with Session
	Data    []byte // with Add
	Sealed  bool   // Data are sealed; see package seal
}

// Begin appends room for a header to dst, for Seal to fill in.
func Begin(dst []byte) []byte {
	return append(dst, make([]byte, HeaderSize)...)
}

// Seal writes the header of an entry that Begin started and AppendOp filled.
func Seal(b []byte, h Header) {
	b[0] = FormatVersion
	if h.Sealed {
		b[0] = SealedVersion
	}
	binary.BigEndian.PutUint64(b[1:], h.Stamp)
	binary.BigEndian.PutUint64(b[9:], h.Capacity)
	binary.BigEndian.PutUint32(b[17:], uint32(h.Count))
	binary.BigEndian.PutUint32(b[sumAt:], sumOf(b))
}

func sumOf(b []byte) uint32 { return sum.Of(b[:sumAt], b[HeaderSize:]) }

// intact tells whether an entry is as Seal left it.
func intact(b []byte) bool {
	return len(b) >= HeaderSize && sumOf(b) == binary.BigEndian.Uint32(b[sumAt:])
}

// AppendOp appends one operation.
func AppendOp(dst []byte, op *Op) []byte {
	kind := op.Kind
	if kind == Add && op.Sealed {
		kind = addSealed
	}
	dst = append(dst, byte(kind))
	dst = binary.BigEndian.AppendUint64(dst, op.Origin)
	dst = binary.BigEndian.AppendUint64(dst, op.Counter)
	dst = binary.BigEndian.AppendUint32(dst, uint32(min(op.Counter-op.Low, 1<<32-1)))
	dst = append(dst, byte(len(op.ID)))
	dst = append(dst, op.ID...)
	if op.Kind == Add {
		dst = binary.BigEndian.AppendUint32(dst, op.Timeout)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(op.Data)))
		dst = append(dst, op.Data...)
	}
	return dst
}

// Size is an upper bound of what AppendOp adds for an id and data of these lengths.
func Size(id, data int) int { return opHeaderSize + id + 8 + data }

// ParseHeader reads an entry's header; the rest are its operations, for NextOp.
func ParseHeader(b []byte) (h Header, ops []byte, err error) {
	if len(b) < 1 {
		return h, nil, fmt.Errorf("%w: it is empty", ErrFormat)
	}
	if b[0] != FormatVersion && b[0] != SealedVersion {
		return h, nil, fmt.Errorf("%w: format version %d, this program reads %d and %d", ErrFormat, b[0], FormatVersion, SealedVersion)
	}
	if len(b) < HeaderSize {
		return h, nil, fmt.Errorf("%w: header cut off at %d bytes", ErrFormat, len(b))
	}
	if !intact(b) {
		return h, nil, fmt.Errorf("%w: it is not as it was written", ErrFormat)
	}
	h = Header{
		Stamp:    binary.BigEndian.Uint64(b[1:]),
		Capacity: binary.BigEndian.Uint64(b[9:]),
		Sealed:   b[0] == SealedVersion,
	}
	count := binary.BigEndian.Uint32(b[17:])
	if uint64(count)*opHeaderSize > uint64(len(b)-HeaderSize) {
		return h, nil, fmt.Errorf("%w: %d operations in %d bytes", ErrFormat, count, len(b))
	}
	h.Count = int(count)
	return h, b[HeaderSize:], nil
}

// NextOp reads the first operation in b into op and returns what follows it.
func NextOp(b []byte, op *Op) (rest []byte, err error) {
	if len(b) < opHeaderSize {
		return nil, cutOff()
	}
	op.Kind, op.Sealed = Kind(b[0]), false
	most := uint64(wire.MaxData)
	if op.Kind == addSealed {
		op.Kind, op.Sealed = Add, true
		most += seal.Overhead
	}
	op.Origin = binary.BigEndian.Uint64(b[1:])
	op.Counter = binary.BigEndian.Uint64(b[9:])
	waiting := uint64(binary.BigEndian.Uint32(b[17:]))
	n := int(b[21])
	if waiting > op.Counter {
		return nil, fmt.Errorf("%w: request %d waits for %d before it", ErrFormat, op.Counter, waiting)
	}
	op.Low = op.Counter - waiting
	if (n == 0) != (op.Kind == Session) || n > wire.MaxID {
		return nil, fmt.Errorf("%w: id of %d bytes", ErrFormat, n)
	}
	b = b[opHeaderSize:]
	if len(b) < n {
		return nil, cutOff()
	}
	op.ID, b = b[:n:n], b[n:]
	op.Timeout, op.Data = 0, nil
	switch op.Kind {
	case Remove, Session:
		return b, nil
	case Add:
		if len(b) < 8 {
			return nil, cutOff()
		}
		op.Timeout = binary.BigEndian.Uint32(b)
		m := uint64(binary.BigEndian.Uint32(b[4:]))
		b = b[8:]
		if m == 0 || m > most {
			return nil, fmt.Errorf("%w: data of %d bytes", ErrFormat, m)
		}
		if uint64(len(b)) < m {
			return nil, cutOff()
		}
		op.Data = b[:m:m]
		return b[m:], nil
	}
	return nil, fmt.Errorf("%w: unknown operation %d", ErrFormat, op.Kind)
}

// Check tells whether an entry can be read whole.
func Check(b []byte) error {
	h, ops, err := ParseHeader(b)
	if err != nil {
		return err
	}
	var op Op
	for range h.Count {
		if ops, err = NextOp(ops, &op); err != nil {
			return err
		}
	}
	return End(ops)
}

// End makes sure that nothing follows the last operation: rest is what NextOp returned with it.
func End(rest []byte) error {
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes after the last operation", ErrFormat, len(rest))
	}
	return nil
}

func cutOff() error { return fmt.Errorf("%w: cut off within an operation", ErrFormat) }
