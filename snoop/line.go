package snoop

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/distcache/distcache/wire"
)

// A direction is one of the two of a connection.
type direction int

const (
	toServer direction = iota
	toClient
)

// shortID is how many bytes of a session id are shown: enough to know it again, too few to use it.
const shortID = 6

// A sessionID is the beginning of a session id.
type sessionID struct {
	size  int // of the whole
	start [shortID]byte
}

func newSessionID(id []byte, size int) sessionID {
	s := sessionID{size: size}
	copy(s.start[:], id)
	return s
}

func (s *sessionID) shown() []byte { return s.start[:min(s.size, shortID)] }

// A place says when and on which connection something happened.
type place struct {
	at   time.Time
	conn uint64 // counted from 1
}

// A line is one line of output, in either form.
type line interface {
	text(p style, dst []byte) []byte // appends the line to dst
	json() any
}

// append appends the line to dst.
func (c *Config) append(dst []byte, l line) []byte {
	if c.Format == JSON {
		return appendJSON(dst, l.json())
	}
	return l.text(style(c.Colour), dst)
}

// All lines but the [summary].
type (
	// opened: a client has connected.
	opened struct {
		place
		client, listener string
	}
	// exchanged: a request or an answer went by.
	exchanged struct {
		place
		dir     direction
		uid     uint32
		op      wire.Op
		known   bool // the session id is known; always true for a request
		id      sessionID
		size    int           // of the payload
		data    int           // of the session data in it, 0 for none
		wire    int64         // bytes on the wire
		timeout time.Duration // of an ADD
		status  wire.Status   // of an answer
		asked   bool          // an answer whose request was seen
		latency time.Duration // since the request
		payload []byte        // with Config.Data
	}
	// malformed: the protocol was broken, and the rest of that direction is not decoded.
	malformed struct {
		place
		dir direction
		fault
		header []byte // of the frame up to the offending byte; with Config.Data
	}
	// failed: the server could not be reached for a client.
	failed struct {
		place
		reason string
	}
	// closed: a connection is over.
	closed struct {
		place
		reason     string
		lasted     time.Duration
		messages   [2]uint64 // by direction
		bytes      [2]int64
		undecoded  int64
		unanswered int
	}
	// dropped: the output was too slow for some lines.
	dropped struct {
		at    time.Time
		lines uint64
	}
)

// readRequest sets what a request's payload says. An ADD that the server will refuse is read as far as possible; its
// answer tells what is wrong. The id is a part of the payload, or of the beginning of the payload that was kept.
func (l *exchanged) readRequest(m *message) (id []byte, err error) {
	l.known = true
	if m.Op != wire.OpAdd {
		l.id = newSessionID(m.payload, m.size)
		return m.payload, nil
	}
	if m.size < wire.AddOverhead {
		return nil, wire.ErrShortAdd
	}
	l.timeout = time.Duration(binary.BigEndian.Uint32(m.payload)) * time.Millisecond
	n := uint64(binary.BigEndian.Uint32(m.payload[4:]))
	if n >= uint64(m.size-wire.AddOverhead) {
		return nil, nil // the id length is wrong, so the id is not known
	}
	id = m.payload[wire.AddOverhead:min(len(m.payload), wire.AddOverhead+int(n))]
	l.id = newSessionID(id, int(n))
	l.data = m.size - wire.AddOverhead - int(n)
	return id, nil
}

// readAnswer sets what an answer's payload says.
func (l *exchanged) readAnswer(m *message) error {
	if m.Op != wire.OpGet && m.size > 1 {
		return &longStatus{m.Op, m.size}
	}
	start := m.payload[:min(m.size, 2)]
	err := wire.ParseStatus(start)
	if m.Op == wire.OpGet {
		if _, err = wire.ParseGet(start); err == nil {
			l.data = m.size
		}
	}
	l.status, _ = err.(wire.Status)
	return nil
}

// A longStatus is the error for an answer, other than a GET's, of more than one byte.
type longStatus struct {
	op   wire.Op
	size int
}

func (e *longStatus) Error() string {
	return fmt.Sprintf("an answer to %v is one status byte, not %d", e.op, e.size)
}

func (e *longStatus) Is(target error) bool { return target == wire.ErrCorrupt }
