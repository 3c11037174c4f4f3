package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// bufferSize is enough for one whole frame, and for a burst of small ones.
const bufferSize = 4096

// A Reader reads messages from a connection. It checks each field of a header as soon as its bytes have arrived, so
// that a peer that speaks another protocol is turned away at once. It copies a frame's data only when all of it has
// arrived, so no peer makes it allocate memory by a claim. One goroutine may use it at a time.
type Reader struct {
	br    *bufio.Reader
	rules Rules
}

// NewReader returns a Reader of messages from r.
func NewReader(r io.Reader, rules Rules) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, bufferSize), rules: rules}
}

// Reset makes the Reader read from another connection, under the same rules, with the same buffer.
func (r *Reader) Reset(src io.Reader) { r.br.Reset(src) }

// Wait blocks until the first byte of the next message has arrived. Its error is the connection's, io.EOF when the peer
// closed between two messages.
func (r *Reader) Wait() error {
	_, err := r.br.Peek(1)
	return err
}

// Ready tells whether the next message is in one frame that has arrived, so that Read would not wait for the peer.
func (r *Reader) Ready() bool {
	n := r.br.Buffered()
	if n < HeaderSize {
		return false
	}
	b, _ := r.br.Peek(HeaderSize)
	return n >= HeaderSize+int(binary.BigEndian.Uint16(b[12:])) && b[11] == 1
}

// Read reads the next message into m. It appends the payload to m.Payload[:0], so that a caller who passes the same
// Message again reuses its memory. An error that matches ErrCorrupt is a broken rule; io.EOF means that the peer closed
// between two messages; other errors are the connection's.
func (r *Reader) Read(m *Message) error {
	m.Payload = m.Payload[:0]
	var h Header
	for before := (*Header)(nil); !h.Last; before = &h {
		var err error
		if h, err = r.header(before, len(m.Payload)); err != nil {
			return err
		}
		data, err := r.br.Peek(h.Len)
		if err != nil {
			return truncated(err)
		}
		m.Payload = append(m.Payload, data...)
		if _, err := r.br.Discard(h.Len); err != nil {
			return err
		}
	}
	m.Response, m.UID, m.Class, m.Op = r.rules.Response, h.UID, r.rules.Class, h.Op
	return nil
}

// header reads one frame header. It checks what has arrived before it waits for more. The parameters are CheckHeader's.
func (r *Reader) header(before *Header, payload int) (Header, error) {
	for {
		n := min(r.br.Buffered(), HeaderSize)
		b, _ := r.br.Peek(n)
		if _, err := r.rules.CheckHeader(b, before, payload); err != nil {
			return Header{}, err
		}
		if n == HeaderSize {
			h := ParseHeader(b)
			_, err := r.br.Discard(HeaderSize)
			return h, err
		}
		if _, err := r.br.Peek(n + 1); err != nil {
			if before == nil && n == 0 {
				return Header{}, err
			}
			return Header{}, truncated(err)
		}
	}
}

// Parse reads the first message in b, which is what has arrived on a connection. taken is the length of the message, 0
// when not all of it has arrived; what has arrived is checked in any case. The payload is a part of b: Parse moves the
// data of the message's frames together there.
func (r Rules) Parse(m *Message, b []byte) (taken int, err error) {
	var h Header
	payload := 0
	for before := (*Header)(nil); !h.Last; before = &h {
		next := b[taken:min(taken+HeaderSize, len(b))]
		if _, err := r.CheckHeader(next, before, payload); err != nil {
			return 0, err
		}
		if len(next) < HeaderSize {
			return 0, nil
		}
		h = ParseHeader(next)
		payload += h.Len
		taken += HeaderSize + h.Len
		if taken > len(b) {
			return 0, nil
		}
	}
	const frame = HeaderSize + MaxFrameData // of all frames but the last
	for at := frame; at < taken; at += frame {
		copy(b[HeaderSize+at/frame*MaxFrameData:], b[at+HeaderSize:min(at+frame, taken)])
	}
	*m = Message{r.Response, h.UID, r.Class, h.Op, b[HeaderSize : HeaderSize+payload]}
	return taken, nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrTruncated
	}
	return err
}
