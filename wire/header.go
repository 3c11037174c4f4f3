package wire

import "encoding/binary"

// Rules are what the messages in one direction of a connection must follow.
type Rules struct {
	Response   bool  // the messages are responses, not requests
	Class      Class // the one class of the connection
	Ops        int   // how many operations the class has, counted from 0
	MaxPayload int   // the longest payload
}

// Requests are the rules for what a public listener receives, Responses for what its clients receive.
var (
	Requests  = Rules{Response: false, Class: ClassUser, Ops: UserOps, MaxPayload: MaxPayload}
	Responses = Rules{Response: true, Class: ClassUser, Ops: UserOps, MaxPayload: MaxPayload}
)

// A Header is the part of a frame's header that the Rules of its connection leave open.
type Header struct {
	UID  uint32
	Op   Op
	Last bool // complete: the frame is the last of its message
	Len  int  // of the frame's data
}

// ParseHeader reads a whole header that CheckHeader found right.
func ParseHeader(b []byte) Header {
	return Header{
		UID:  binary.BigEndian.Uint32(b[5:]),
		Op:   Op(b[10]),
		Last: b[11] == 1,
		Len:  int(binary.BigEndian.Uint16(b[12:HeaderSize])),
	}
}

// CheckHeader checks b, the part of a frame's header that has arrived so far. before is the header of the frame before
// in the same message, nil for the first frame of a message. payload is how much data the frames before carried. The
// error is the first rule that is broken, and at the first byte of b that breaks it.
func (r Rules) CheckHeader(b []byte, before *Header, payload int) (at int, err error) {
	n := len(b)
	if n == 0 {
		return 0, nil
	}
	switch {
	case b[0] != Version>>8:
		return 0, ErrVersion
	case n > 1 && b[1] != Version&0xff:
		return 1, ErrVersion
	case n > 4 && b[4] != flag(r.Response):
		return 4, ErrDirection
	}
	if at := otherUID(b, before); at > 0 {
		return at, ErrMixed
	}
	if n > 9 && Class(b[9]) != r.Class {
		return 9, ErrClass
	}
	if n > 10 {
		switch {
		case int(b[10]) >= r.Ops:
			return 10, ErrOperation
		case before != nil && Op(b[10]) != before.Op:
			return 10, ErrMixed
		}
	}
	return checkLength(b, r.MaxPayload-payload)
}

// otherUID is the position of the first byte of a header whose uid differs from that of the frame before, 0 if there is
// none.
func otherUID(b []byte, before *Header) int {
	if before == nil {
		return 0
	}
	for i := 5; i < min(len(b), 9); i++ {
		if b[i] != byte(before.UID>>(8*(8-i))) {
			return i
		}
	}
	return 0
}

// checkLength checks the last two fields of a header, complete and data_len. The message may carry room more bytes, and
// after an incomplete frame at least one byte must follow.
func checkLength(b []byte, room int) (at int, err error) {
	n := len(b)
	if n <= 11 {
		return 0, nil
	}
	complete := b[11] == 1
	switch {
	case b[11] > 1:
		return 11, ErrComplete
	case !complete && room <= MaxFrameData:
		return 11, ErrTooLong
	case n > 12 && b[12] > MaxFrameData>>8:
		return 12, ErrFrameLen
	case n > 12 && !complete && b[12] != MaxFrameData>>8:
		return 12, ErrShort
	case n > 13 && b[12] == MaxFrameData>>8 && b[13] > MaxFrameData&0xff:
		return 13, ErrFrameLen
	case n > 13 && int(binary.BigEndian.Uint16(b[12:])) > room:
		return 13, ErrTooLong
	}
	return 0, nil
}
