package wire

import (
	"encoding/binary"
	"time"
)

// CheckAdd checks an ADD against the protocol's ranges, in the protocol's order. It returns TimeoutRange, IDRange,
// DataRange or nil.
func CheckAdd(id, data []byte, timeout time.Duration) error {
	switch {
	case timeout < 0 || timeout > MaxTimeout:
		return TimeoutRange
	case len(id) == 0 || len(id) > MaxID:
		return IDRange
	case len(data) == 0 || len(data) > MaxData:
		return DataRange
	}
	return nil
}

// CheckID returns NotOK for an id that no session can have: GET, REMOVE and HAVE are then answered so.
func CheckID(id []byte) error {
	if len(id) == 0 || len(id) > MaxID {
		return NotOK
	}
	return nil
}

// AppendAdd appends the payload of an ADD request, with the timeout in whole milliseconds. The caller has checked the
// ranges.
func AppendAdd(dst, id, data []byte, timeout time.Duration) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(timeout/time.Millisecond))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(id)))
	dst = append(dst, id...)
	return append(dst, data...)
}

// ParseAdd reads the payload of an ADD request; id and data are parts of it. The error ErrShortAdd is corruption; a
// Status is the answer to give.
func ParseAdd(payload []byte) (id, data []byte, timeout time.Duration, err error) {
	if id, data, timeout, err = SplitAdd(payload); err == nil {
		err = CheckAdd(id, data, timeout)
	}
	if err != nil {
		return nil, nil, 0, err
	}
	return id, data, timeout, nil
}

// SplitAdd is ParseAdd of a payload whose id and data may be of any length.
func SplitAdd(payload []byte) (id, data []byte, timeout time.Duration, err error) {
	if len(payload) < AddOverhead {
		return nil, nil, 0, ErrShortAdd
	}
	timeout = time.Duration(binary.BigEndian.Uint32(payload)) * time.Millisecond
	if timeout > MaxTimeout {
		return nil, nil, 0, TimeoutRange
	}
	n := binary.BigEndian.Uint32(payload[4:])
	rest := payload[AddOverhead:]
	if uint64(n) >= uint64(len(rest)) {
		return nil, nil, 0, Corrupt
	}
	return rest[:n], rest[n:], timeout, nil
}

// ParseStatus reads the answer to an ADD, REMOVE or HAVE. An empty answer, which the original proxy gives when it has
// no server, is Disconnected. An answer of more than one byte is ErrCorrupt.
func ParseStatus(payload []byte) error {
	switch len(payload) {
	case 0:
		return Disconnected
	case 1:
		return Status(payload[0]).Err()
	}
	return ErrCorrupt
}

// ParseGet reads the answer to a GET; data is the payload itself. A payload of one byte that is NotOK or Disconnected
// is that status: like every client of the protocol, ParseGet can't tell it from session data of that one byte.
func ParseGet(payload []byte) (data []byte, err error) {
	switch {
	case len(payload) == 0:
		return nil, Disconnected
	case len(payload) == 1 && (Status(payload[0]) == NotOK || Status(payload[0]) == Disconnected):
		return nil, Status(payload[0])
	}
	return payload, nil
}
