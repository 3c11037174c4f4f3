// Package sum adds checksums to values that are kept on disk, because the libraries that keep them do not detect that
// the disk has changed a value.
package sum

import (
	"encoding/binary"
	"hash/crc32"
)

// Size is the size of a checksum in bytes.
const Size = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Of is the CRC-32C of all parts, one behind the other.
func Of(parts ...[]byte) (sum uint32) {
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, p)
	}
	return sum
}

// Append appends to a value, big-endian, the checksum of where (the place in which the value is stored, such as its
// key) and of the value.
func Append(value []byte, where ...[]byte) []byte {
	return binary.BigEndian.AppendUint32(value, of(where, value))
}

// Cut returns the value without the checksum that Append added. ok is false if the value, its place or the checksum
// differs.
func Cut(summed []byte, where ...[]byte) (value []byte, ok bool) {
	end := len(summed) - Size
	if end < 0 || of(where, summed[:end]) != binary.BigEndian.Uint32(summed[end:]) {
		return nil, false
	}
	return summed[:end:end], true
}

func of(where [][]byte, value []byte) uint32 {
	return crc32.Update(Of(where...), castagnoli, value)
}
