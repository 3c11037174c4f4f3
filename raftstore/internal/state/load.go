package state

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/sum"
)

// contents are the content of a state file without the sessions' data.
type contents struct {
	index          *index
	clientSessions *clientSessions
	applied        uint64
	appliedTerm    uint64
	stamp, seq     uint64
	plain          int  // sessions whose data are not sealed
	format6        bool // the file's format is sealedFormat
}

// read checks the whole file and returns its content. empty is true when nothing has been written to the file yet, or
// it does not exist (os.ErrNotExist).
func read(path string) (c contents, empty bool, err error) {
	l := loader{contents: contents{index: newIndex(), clientSessions: newClientSessions()}}
	l.builder = startBuilder(l.index)
	err = boltfile.Check(path, l.visit)
	if twice := l.builder.end(); err == nil && twice {
		err = fmt.Errorf("%s: %w: two sessions have one id", path, boltfile.ErrDamaged)
	}
	if err == nil && l.buckets > 0 && !(l.ours && l.sessions) {
		err = fmt.Errorf("%s: %w", path, ErrForeign)
	}
	if err == nil && l.damage != nil {
		err = fmt.Errorf("%s: %w", path, l.damage)
	}
	if err != nil {
		return l.contents, l.buckets == 0, fmt.Errorf("state file: %w", err)
	}
	return l.contents, l.buckets == 0, nil
}

// A loader takes what a state file holds while the file is checked.
type loader struct {
	contents
	buckets  int
	ours     bool  // the format is one that is known; the bucket that says so comes first
	sessions bool  // there is a bucket for them
	damage   error // of a meta record; the format, which may be another, comes after some of them
	builder  *builder
}

func (l *loader) visit(bucket, key, value []byte) error {
	switch {
	case bucket == nil:
		l.buckets++
		l.sessions = l.sessions || bytes.Equal(key, sessionsBucket)
	case bytes.Equal(bucket, metaBucket):
		if bytes.Equal(key, formatKey) {
			return l.format(value)
		}
		if err := l.meta(key, value); l.damage == nil {
			l.damage = err
		}
	case bytes.Equal(bucket, sessionsBucket) && l.ours:
		return l.session(key, value)
	}
	return nil
}

func (l *loader) format(value []byte) error {
	l.format6 = bytes.Equal(value, sealedFormat)
	if l.ours = l.format6 || bytes.Equal(value, formatValue); !l.ours {
		return fmt.Errorf("%w of a version this program reads (it says %q)", ErrForeign, value)
	}
	return nil
}

func (l *loader) meta(key, value []byte) error {
	value, ok := sum.Cut(value, key)
	switch {
	case !ok:
		return fmt.Errorf("%w: a record about the file itself is not as it was written", boltfile.ErrDamaged)
	case bytes.Equal(key, appliedKey):
		return integers(key, value, &l.applied, &l.appliedTerm)
	case bytes.Equal(key, clockKey):
		return integers(key, value, &l.stamp, &l.seq, &l.clientSessions.clock)
	case len(key) == clientSessionKeySize && key[0] == 'o':
		o, ok := decodeClientSession(value)
		if !ok {
			return fmt.Errorf("%w: a recorded result is malformed", boltfile.ErrDamaged)
		}
		l.clientSessions.byID[binary.BigEndian.Uint64(key[1:])] = o
	}
	return nil
}

// integers takes a record of so many integers apart.
func integers(key, value []byte, to ...*uint64) error {
	if len(value) != 8*len(to) {
		return fmt.Errorf("%w: %s is malformed", boltfile.ErrDamaged, key)
	}
	for i, x := range to {
		*x = binary.BigEndian.Uint64(value[8*i:])
	}
	return nil
}

var errRecord = fmt.Errorf("%w: a session's record is not as it was written", boltfile.ErrDamaged)

// session adds a session. Keys come in the order of expiry, and a sorted list is a heap already.
func (l *loader) session(key, value []byte) error {
	v, ok := valueOf(key, value)
	if len(key) != keySize || !ok {
		return errRecord
	}
	seq := binary.BigEndian.Uint64(key[8:])
	if seq == 0 {
		return fmt.Errorf("%w: a session's key is malformed", boltfile.ErrDamaged)
	}
	l.builder.add(idOf(v), binary.BigEndian.Uint64(key), seq, isSealed(v))
	if !isSealed(v) {
		l.plain++
	}
	return nil
}
