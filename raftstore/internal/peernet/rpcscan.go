package peernet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// Bounds of one request of Raft's transport. A sender puts at most sendBytes of entries into a request, or one entry
// (see cut), so that a request of this program is never over maxRPC.
const (
	maxRPC      = 20 << 20 // bytes, without those of a snapshot
	maxRPCItems = 1 << 14  // values in a request: an entry has 13
	maxRPCDepth = 4        // a request, its entries, an entry, its fields
	sendBytes   = 4 << 20
)

// Raft's requests, by their first byte (package raft, net_transport.go).
const (
	rpcAppendEntries = iota
	rpcRequestVote
	rpcInstallSnapshot
	rpcTimeoutNow
	rpcRequestPreVote
	rpcKinds
)

var errRPC = errors.New("malformed Raft request")

// A scanner follows the bytes of a connection's Raft requests before Raft decodes them. Raft's decoder has no bounds of
// its own: it would take any length that a request announces, and would not notice whose ID a request bears.
//
// A request is a byte for its kind and a MessagePack map of the fields of a struct in package raft. The bytes of a
// snapshot follow its request.
type scanner struct {
	from        serverid.ID // every request's header must bear this ID
	maxSnapshot func() int64

	kind  int // of the request that is being read; -1 between two
	size  int // bytes of the request so far
	items int // values so far
	stack []level
	field field        // the field whose value is next, of a request itself
	keep  []byte       // a scalar's bytes, or a short string's, which may come in pieces
	skip  int64        // bytes of a string, or of a snapshot, that still follow
	do    func() error // what is done when keep is whole; nil: nothing is kept
	want  int          // how long keep will be
	raw   int64        // bytes of a snapshot that follow the request
	named bool         // the request has borne the sender's ID
}

// A level is an array or a map that is being read.
type level struct {
	left  int64 // values that follow, keys included
	isMap bool
}

// A field is one of those whose value matters here.
type field int

const (
	fieldOther field = iota
	fieldID
	fieldSize
)

func newScanner(from serverid.ID, maxSnapshot func() int64) *scanner {
	return &scanner{from: from, maxSnapshot: maxSnapshot, kind: -1}
}

// between tells whether the last request, with what follows it, is whole.
func (s *scanner) between() bool { return s.kind < 0 && s.skip == 0 }

// inSnapshot tells whether the bytes of a snapshot are being read.
func (s *scanner) inSnapshot() bool { return s.kind < 0 && s.skip > 0 }

// scan reads more bytes of the connection.
func (s *scanner) scan(b []byte) error {
	for len(b) > 0 {
		switch {
		case s.skip > 0:
			n := min(s.skip, int64(len(b)))
			s.skip -= n
			b = b[n:]
			if s.kind >= 0 && s.skip == 0 {
				if err := s.ended(); err != nil {
					return err
				}
			}
		case s.do != nil:
			n := min(s.want-len(s.keep), len(b))
			s.keep = append(s.keep, b[:n]...)
			b = b[n:]
			if len(s.keep) == s.want {
				do := s.do
				s.do = nil
				if err := do(); err != nil {
					return err
				}
			}
		case s.kind < 0:
			if b[0] >= rpcKinds {
				return fmt.Errorf("%w: its kind is %d", errRPC, b[0])
			}
			s.kind, s.size, s.items, s.raw, s.named = int(b[0]), 0, 0, 0, false
			b = b[1:]
		default:
			first := b[0]
			b = b[1:]
			if err := s.value(first); err != nil {
				return err
			}
		}
	}
	return nil
}

// value begins a value by its first byte.
func (s *scanner) value(first byte) error {
	if s.items++; s.items > maxRPCItems {
		return fmt.Errorf("%w: more than %d values", errRPC, maxRPCItems)
	}
	if err := s.grow(1); err != nil {
		return err
	}
	if len(s.stack) == 0 && first>>4 != 0x8 && first != 0xde && first != 0xdf {
		return fmt.Errorf("%w: it is no map", errRPC)
	}
	switch {
	case first <= 0x7f:
		return s.integer(uint64(first))
	case first <= 0x8f:
		return s.container(int64(first&0xf), true)
	case first <= 0x9f:
		return s.container(int64(first&0xf), false)
	case first <= 0xbf:
		return s.text(int64(first & 0x1f))
	case first >= 0xe0:
		return s.integer(math.MaxUint64)
	}
	switch first {
	case 0xc0, 0xc2, 0xc3: // nil, booleans
		return s.other(0)
	case 0xca, 0xcb: // floats
		return s.other(4 << (first - 0xca))
	case 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3:
		return s.fixed(1<<((first-0xcc)&3), func(n uint64, width int) error {
			if signed := first >= 0xd0; signed && n>>(8*width-1) != 0 {
				n = math.MaxUint64
			}
			return s.integer(n)
		})
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // extensions: a type, and 1 to 16 bytes
		return s.other(1 + 1<<(first-0xd4))
	case 0xc4, 0xc5, 0xc6: // binary
		return s.fixed(1<<(first-0xc4), func(n uint64, _ int) error { return s.text(int64(n)) })
	case 0xd9, 0xda, 0xdb: // strings
		return s.fixed(1<<(first-0xd9), func(n uint64, _ int) error { return s.text(int64(n)) })
	case 0xc7, 0xc8, 0xc9: // extensions: a length, a type
		return s.fixed(1<<(first-0xc7), func(n uint64, _ int) error { return s.other(1 + int64(n)) })
	case 0xdc, 0xdd:
		return s.fixed(2<<(first-0xdc), func(n uint64, _ int) error { return s.container(int64(n), false) })
	case 0xde, 0xdf:
		return s.fixed(2<<(first-0xde), func(n uint64, _ int) error { return s.container(int64(n), true) })
	}
	return fmt.Errorf("%w: a value begins with 0x%02x", errRPC, first)
}

// fixed reads an integer of so many bytes, which is a value or precedes one.
func (s *scanner) fixed(width int, do func(n uint64, width int) error) error {
	return s.whole(width, func() error {
		var b [8]byte
		copy(b[8-width:], s.keep)
		return do(binary.BigEndian.Uint64(b[:]), width)
	})
}

// whole keeps the next n bytes and then calls do.
func (s *scanner) whole(n int, do func() error) error {
	if err := s.grow(int64(n)); err != nil {
		return err
	}
	s.keep, s.want, s.do = s.keep[:0], n, do
	return nil
}

// grow counts bytes of the request, before they are read.
func (s *scanner) grow(n int64) error {
	if n > maxRPC || s.size+int(n) > maxRPC {
		return fmt.Errorf("%w: over %d bytes", errRPC, maxRPC)
	}
	s.size += int(n)
	return nil
}

// integer is a whole integer; those below 0 are given as the greatest.
func (s *scanner) integer(n uint64) error {
	if s.field == fieldSize {
		if most := s.maxSnapshot(); n > uint64(most) {
			return fmt.Errorf("%w: a snapshot of %d bytes, of which at most %d are taken", errRPC, n, most)
		}
		s.raw = int64(n)
		s.field = fieldOther
	}
	return s.other(0)
}

// text begins a string of n bytes: a field's name, a field, or part of an entry.
func (s *scanner) text(n int64) error {
	isKey := len(s.stack) == 1 && s.stack[0].left%2 == 0
	if (isKey || s.field == fieldID) && n <= maxID && n > 0 {
		return s.whole(int(n), func() error {
			switch {
			case !isKey && string(s.keep) != string(s.from):
				return fmt.Errorf("%w: it bears the ID %.80q, on the connection of %q", errRPC, s.keep, s.from)
			case !isKey:
				s.named = true
			default:
				return s.key()
			}
			return s.ended()
		})
	}
	return s.other(n)
}

// key notes which field follows.
func (s *scanner) key() error {
	err := s.ended()
	switch string(s.keep) {
	case "ID":
		s.field = fieldID
	case "Size":
		if s.kind == rpcInstallSnapshot {
			s.field = fieldSize
		}
	}
	return err
}

// other skips a value of n bytes.
func (s *scanner) other(n int64) error {
	if s.field != fieldOther {
		return fmt.Errorf("%w: a field is of another type", errRPC)
	}
	if err := s.grow(n); err != nil {
		return err
	}
	if n == 0 {
		return s.ended()
	}
	s.skip = n
	return nil
}

// container begins an array of n values, or a map of n pairs.
func (s *scanner) container(n int64, isMap bool) error {
	if s.field != fieldOther || len(s.stack) >= maxRPCDepth {
		return fmt.Errorf("%w: values within values", errRPC)
	}
	if n > maxRPCItems {
		return fmt.Errorf("%w: more than %d values", errRPC, maxRPCItems)
	}
	if isMap {
		n *= 2
	}
	s.stack = append(s.stack, level{left: n, isMap: isMap})
	if n == 0 {
		s.stack = s.stack[:len(s.stack)-1]
		return s.ended()
	}
	return nil
}

// ended notes that a value is whole, and with it perhaps what it is part of.
func (s *scanner) ended() error {
	s.field = fieldOther
	for len(s.stack) > 0 {
		top := &s.stack[len(s.stack)-1]
		if top.left--; top.left > 0 {
			return nil
		}
		s.stack = s.stack[:len(s.stack)-1]
	}
	if !s.named {
		return fmt.Errorf("%w: it bears no ID", errRPC)
	}
	s.kind = -1
	s.skip = s.raw
	return nil
}
