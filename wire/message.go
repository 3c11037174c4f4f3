package wire

import "encoding/binary"

// A Message is a whole request or response.
type Message struct {
	Response bool
	UID      uint32
	Class    Class
	Op       Op
	Payload  []byte
}

// AppendMessage appends the frames of m to dst and returns the extended slice. It does not check the payload's size:
// the caller knows what its peer accepts (MaxPayload on a public connection).
func AppendMessage(dst []byte, m *Message) []byte {
	rest := m.Payload
	for {
		n := min(len(rest), MaxFrameData)
		last := n == len(rest)
		dst = appendHeader(dst, m, n, last)
		dst = append(dst, rest[:n]...)
		if last {
			return dst
		}
		rest = rest[n:]
	}
}

// Size is the number of bytes that a message with a payload of n bytes takes on the wire.
func Size(n int) int {
	frames := max(1, (n+MaxFrameData-1)/MaxFrameData)
	return n + frames*HeaderSize
}

func appendHeader(dst []byte, m *Message, n int, complete bool) []byte {
	dst = binary.BigEndian.AppendUint32(dst, Version<<16|PatchLevel)
	dst = append(dst, flag(m.Response))
	dst = binary.BigEndian.AppendUint32(dst, m.UID)
	dst = append(dst, byte(m.Class), byte(m.Op), flag(complete))
	return binary.BigEndian.AppendUint16(dst, uint16(n))
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
