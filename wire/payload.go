package wire

import (
	"encoding/binary"
	"time"
)

// CheckAdd holds an ADD against the protocol's ranges, in its order: TimeoutRange, IDRange, DataRange or nil.
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

// CheckID is NotOK for an id that no session can have, which is what GET, REMOVE and HAVE answer to it.
func CheckID(id []byte) error {
	if len(id) == 0 || len(id) > MaxID {
		return NotOK
	}
	return nil
}

// AppendAdd appends the payload of an ADD request. The timeout goes out in whole milliseconds; the caller has checked
// the ranges.
func AppendAdd(dst, id, data []byte, timeout time.Duration) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(timeout/time.Millisecond))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(id)))
	dst = append(dst, id...)
	return append(dst, data...)
}

// ParseAdd takes an ADD request apart; id and data are parts of payload. ErrShortAdd is corruption, a Status is what
// to answer.
func ParseAdd(payload []byte) (id, data []byte, timeout time.Duration, err error) {
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
	id, data = rest[:n], rest[n:]
	if err := CheckAdd(id, data, timeout); err != nil {
		return nil, nil, 0, err
	}
	return id, data, timeout, nil
}

// ParseStatus reads the answer to an ADD, REMOVE or HAVE. An empty one, which the original proxy sends when it has no
// server, is Disconnected; one that is longer than a byte is ErrCorrupt.
func ParseStatus(payload []byte) error {
	switch len(payload) {
	case 0:
		return Disconnected
	case 1:
		return Status(payload[0]).Err()
	}
	return ErrCorrupt
}

// ParseGet reads the answer to a GET; data is the payload itself. One byte that is a failure a GET can have is that
// status: session data of that one byte can't be told from it, as with every client of the protocol.
func ParseGet(payload []byte) (data []byte, err error) {
	switch {
	case len(payload) == 0:
		return nil, Disconnected
	case len(payload) == 1 && (Status(payload[0]) == NotOK || Status(payload[0]) == Disconnected):
		return nil, Status(payload[0])
	}
	return payload, nil
}
