package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// Rules say what a Reader accepts.
type Rules struct {
	Response   bool  // responses, or requests
	Class      Class // the one class of this connection
	Ops        int   // how many operations the class has, counted from 0
	MaxPayload int   // the longest message
}

// Requests are the rules of a public listener's side of a connection, Responses those of a client's.
var (
	Requests  = Rules{Response: false, Class: ClassUser, Ops: UserOps, MaxPayload: MaxPayload}
	Responses = Rules{Response: true, Class: ClassUser, Ops: UserOps, MaxPayload: MaxPayload}
)

// bufferSize holds one whole frame, and a burst of small ones.
const bufferSize = 4096

// A Reader takes messages off a connection. It checks each field of a header as soon as its bytes are there, so that
// a peer speaking something else is turned away at once, and copies a frame's data only when all of it has arrived:
// it allocates nothing on a peer's word. One goroutine may use it at a time.
type Reader struct {
	br    *bufio.Reader
	rules Rules
}

// NewReader returns a Reader of r's messages.
func NewReader(r io.Reader, rules Rules) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, bufferSize), rules: rules}
}

// Reset makes the Reader read from another connection, under the same rules, with the same buffer.
func (r *Reader) Reset(src io.Reader) { r.br.Reset(src) }

// Wait blocks until the first byte of the next message is there. Its error is the connection's: io.EOF when the peer
// closed between two messages.
func (r *Reader) Wait() error {
	_, err := r.br.Peek(1)
	return err
}

// Ready tells whether Read would return without waiting for the peer, as far as the next frame goes.
func (r *Reader) Ready() bool {
	n := r.br.Buffered()
	if n < HeaderSize {
		return false
	}
	b, _ := r.br.Peek(HeaderSize)
	return n >= HeaderSize+int(binary.BigEndian.Uint16(b[12:])) && b[11] == 1
}

// Read reads the next message into m. It appends the payload to m.Payload[:0], so that a caller who passes the same
// Message again reuses its memory. A broken rule is an error that matches ErrCorrupt; io.EOF means that the peer
// closed between two messages; others are the connection's own.
func (r *Reader) Read(m *Message) error {
	m.Payload = m.Payload[:0]
	for first := true; ; first = false {
		h, err := r.header(m, first)
		if err != nil {
			return err
		}
		m.Response, m.UID, m.Class, m.Op = r.rules.Response, h.uid, r.rules.Class, h.op
		data, err := r.br.Peek(h.n)
		if err != nil {
			return truncated(err)
		}
		m.Payload = append(m.Payload, data...)
		if _, err := r.br.Discard(h.n); err != nil {
			return err
		}
		if h.complete {
			return nil
		}
	}
}

type header struct {
	uid      uint32
	op       Op
	complete bool
	n        int
}

// header reads one frame header, checking what has arrived before waiting for more. Unless it is the first, it has to
// continue m.
func (r *Reader) header(m *Message, first bool) (header, error) {
	for {
		n := min(r.br.Buffered(), HeaderSize)
		b, _ := r.br.Peek(n)
		if err := r.rules.check(b, m, first, len(m.Payload)); err != nil {
			return header{}, err
		}
		if n == HeaderSize {
			h := header{
				uid:      binary.BigEndian.Uint32(b[5:]),
				op:       Op(b[10]),
				complete: b[11] == 1,
				n:        int(binary.BigEndian.Uint16(b[12:])),
			}
			_, err := r.br.Discard(HeaderSize)
			return h, err
		}
		if _, err := r.br.Peek(n + 1); err != nil {
			if first && n == 0 {
				return header{}, err
			}
			return header{}, truncated(err)
		}
	}
}

// Parse takes the first message off b, which is what has arrived of a connection. taken is how many bytes the message
// has, or 0 when it is not whole. The payload is a part of b, in which Parse moves the data of a message's frames
// together. What has arrived of a message that is not whole is checked as well.
func (r Rules) Parse(m *Message, b []byte) (taken int, err error) {
	payload := 0
	for first, complete := true, false; !complete; first = false {
		h := b[taken:min(taken+HeaderSize, len(b))]
		if err := r.check(h, m, first, payload); err != nil {
			return 0, err
		}
		if len(h) < HeaderSize {
			return 0, nil
		}
		m.UID, m.Op, complete = binary.BigEndian.Uint32(h[5:]), Op(h[10]), h[11] == 1
		n := int(binary.BigEndian.Uint16(h[12:]))
		payload += n
		taken += HeaderSize + n
		if taken > len(b) {
			return 0, nil
		}
	}
	const frame = HeaderSize + MaxFrameData // but for the last
	for at := frame; at < taken; at += frame {
		copy(b[HeaderSize+at/frame*MaxFrameData:], b[at+HeaderSize:min(at+frame, taken)])
	}
	m.Response, m.Class, m.Payload = r.Response, r.Class, b[HeaderSize:HeaderSize+payload]
	return taken, nil
}

// check checks what has arrived of the header of m's next frame, to which payload bytes came before.
func (r Rules) check(b []byte, m *Message, first bool, payload int) error {
	if err := r.checkFrame(b); err != nil {
		return err
	}
	if !first && !continues(b, m) {
		return ErrMixed
	}
	if tooLong(b, r.MaxPayload-payload) {
		return ErrTooLong
	}
	return nil
}

// checkFrame checks the part of a header that has arrived by itself.
func (r Rules) checkFrame(b []byte) error {
	n := len(b)
	switch {
	case n > 0 && b[0] != Version>>8, n > 1 && b[1] != Version&0xff:
		return ErrVersion
	case n > 4 && b[4] != flag(r.Response):
		return ErrDirection
	case n > 9 && Class(b[9]) != r.Class:
		return ErrClass
	case n > 10 && int(b[10]) >= r.Ops:
		return ErrOperation
	case n > 11 && b[11] > 1:
		return ErrComplete
	case n > 12 && b[12] > MaxFrameData>>8, n > 13 && b[12] == MaxFrameData>>8 && b[13] > MaxFrameData&0xff:
		return ErrFrameLen
	case n > 12 && b[11] == 0 && b[12] != MaxFrameData>>8:
		return ErrShort
	}
	return nil
}

// continues tells whether the part of a header that has arrived may belong to m's next frame.
func continues(b []byte, m *Message) bool {
	for i := 5; i < min(len(b), 9); i++ {
		if b[i] != byte(m.UID>>(8*(8-i))) {
			return false
		}
	}
	return len(b) <= 10 || Op(b[10]) == m.Op
}

// tooLong tells from the part of a header that has arrived whether the message needs more than the room it has. After
// an incomplete frame something must follow.
func tooLong(b []byte, room int) bool {
	switch {
	case len(b) > 11 && b[11] == 0:
		return room <= MaxFrameData
	case len(b) > 13:
		return int(binary.BigEndian.Uint16(b[12:])) > room
	}
	return false
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrTruncated
	}
	return err
}
