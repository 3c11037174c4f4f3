package walfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft-wal/types"
)

// The layout of a segment file, all integers little-endian. A header, then frames, each padded to 8 bytes.
//
//	header        magic (u32), zero (u24), version (u8), base index, id, codec (u64 each)
//	frame         kind (u8), zero (u24), length (u32), that many bytes
//	commit frame  kind (u8), zero (u24), CRC-32C (u32) of all since the last commit frame, or since the file's beginning
//
// A write is some entry frames and a commit frame, synced. An index frame, the u32 offsets of all entries, is in the
// file's last write. What follows on the last commit is zero, or what a crash left of a write that nobody has heard of.
const (
	headerSize = 32
	frameSize  = 8
	magic      = 0x58eb6b0d

	entryFrame  = 1
	indexFrame  = 2
	commitFrame = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A scan is what is in a segment file.
type scan struct {
	entries uint64 // that are committed
	end     int    // of the last commit
	index   uint64 // where the index of a finished file begins, 0 when it isn't
	torn    int    // the end of what a crash left after that, 0 when there is nothing
}

// scanSegment reads a segment file.
func scanSegment(b []byte, si types.SegmentInfo) (s scan, err error) {
	first := headerSize
	for {
		entries, index, end, ok := scanWrite(b, s.end, first)
		if !ok {
			break
		}
		if s.end == 0 {
			if err := checkHeader(b, si); err != nil {
				return s, err
			}
		}
		s.entries += entries
		s.end, first = end, end
		if s.index = index; index > 0 {
			return s, nil
		}
	}
	if rest := bytes.TrimRight(b[s.end:], "\x00"); len(rest) > 0 {
		s.torn = s.end + len(rest)
	}
	if s.torn > 0 && anotherWrite(b, s.end) {
		return s, fmt.Errorf("%w: a write before the last is not as it was written (at %d)", ErrDamaged, s.end)
	}
	return s, nil
}

// scanWrite reads one write, which begins at start, with its first frame at first. False when it is not whole.
func scanWrite(b []byte, start, first int) (entries, index uint64, end int, ok bool) {
	for at := first; at+frameSize <= len(b); {
		h := binary.LittleEndian.Uint32(b[at:])
		n := binary.LittleEndian.Uint32(b[at+4:])
		switch h {
		case entryFrame:
			entries++
		case indexFrame:
			index = uint64(at + frameSize)
		case commitFrame:
			return entries, index, at + frameSize, crc32.Checksum(b[start:at], castagnoli) == n
		default:
			return 0, 0, 0, false
		}
		if uint64(n) > uint64(len(b)-at-frameSize) {
			return 0, 0, 0, false
		}
		at += frameSize + (int(n)+frameSize-1)/frameSize*frameSize
	}
	return 0, 0, 0, false
}

// anotherWrite tells whether a whole write begins after at. The write at at is not whole. A crash interrupts only the
// last write, so a whole write after it means damage.
func anotherWrite(b []byte, at int) bool {
	for ; at+2*frameSize <= len(b); at += frameSize {
		if binary.LittleEndian.Uint32(b[at:]) != commitFrame {
			continue
		}
		if entries, index, _, ok := scanWrite(b, at+frameSize, at+frameSize); ok && (entries > 0 || index > 0) {
			return true
		}
	}
	return false
}

func checkHeader(b []byte, si types.SegmentInfo) error {
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	if u64(0) != magic || u64(8) != si.BaseIndex || u64(16) != si.ID || u64(24) != si.Codec {
		return fmt.Errorf("%w: it is another file than its name says", ErrDamaged)
	}
	return nil
}
