// Package sum puts checksums behind what is kept on disk: the libraries that keep it do not notice, in a value that they
// are asked for, what the disk has changed.
package sum

import (
	"encoding/binary"
	"hash/crc32"
)

// Size is that of a checksum.
const Size = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Of is the CRC-32C of all parts, one behind the other.
func Of(parts ...[]byte) (sum uint32) {
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, p)
	}
	return sum
}

// Append puts behind a value, big-endian, the sum of where it belongs and of the value, as append does.
func Append(value []byte, where ...[]byte) []byte {
	return binary.BigEndian.AppendUint32(value, of(where, value))
}

// Cut takes off what Append has put behind a value; not ok when either is not as it was then.
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
