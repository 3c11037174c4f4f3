package snoop

import (
	"encoding/binary"

	"github.com/distcache/distcache/wire"
)

// A message is one whole request or answer.
type message struct {
	uid     uint32
	op      wire.Op
	size    int    // of the payload
	payload []byte // its beginning, as much as the decoder keeps; valid until the decoder is fed again
	start   int64  // offset of its first byte in its direction of the connection
	end     int64  // and of the byte after its last
}

// A fault is where and how the protocol was broken.
type fault struct {
	offset int64 // of the offending byte in its direction of the connection
	rule   error // matches wire.ErrCorrupt
}

// A decoder takes one direction of a connection apart, in pieces of any size. It holds every byte against the rules
// as it comes, and after the first that breaks one it only counts: nothing that follows can be trusted.
//
// It follows wire.Reader rule for rule. That one pulls from a connection, and doesn't say where a rule was broken.
type decoder struct {
	response bool
	keep     int // how much of a payload is kept

	fault  *fault // why it gave up
	offset int64  // of the next byte

	header [wire.HeaderSize]byte // of the frame under way
	have   int                   // how much of it has come
	left   int                   // data of the frame still to come
	first  bool                  // it is the first of its message
	msg    message               // under way
}

func newDecoder(response bool, keep int) *decoder {
	return &decoder{response: response, keep: min(keep, wire.MaxPayload), first: true}
}

// feed takes the next bytes, and calls found with each message that they complete. An error of found is a rule that
// the message breaks as a whole, and ends decoding like any other.
func (d *decoder) feed(p []byte, found func(*message) error) {
	for len(p) > 0 && d.fault == nil {
		if d.have < wire.HeaderSize {
			d.header[d.have] = p[0]
			rule := d.check()
			if d.have == 0 && d.first {
				d.msg = message{payload: d.msg.payload[:0], start: d.offset}
			}
			d.have++
			if rule != nil {
				d.fail(d.offset, rule)
				break
			}
			d.offset++
			p = p[1:]
			if d.have < wire.HeaderSize {
				continue
			}
			d.begin()
		}
		n := min(d.left, len(p))
		d.take(p[:n])
		p = p[n:]
		if d.left == 0 {
			d.complete(found)
		}
	}
	if d.fault != nil {
		d.offset += int64(len(p))
	}
}

// end tells that no more comes.
func (d *decoder) end() {
	if d.fault == nil && (d.have > 0 || !d.first) {
		d.fail(d.offset, wire.ErrTruncated)
	}
}

// broken is the header of the frame that broke a rule, as far as it has come.
func (d *decoder) broken() []byte { return d.header[:d.have] }

// lost tells how many bytes have gone by that belong to no message that was found.
func (d *decoder) lost() int64 {
	if d.fault == nil {
		return 0
	}
	return d.offset - d.msg.start
}

func (d *decoder) fail(at int64, rule error) { d.fault = &fault{at, rule} }

// check holds the newest byte of the header against the rules, those of a frame before those of a message.
func (d *decoder) check() error {
	b, response := d.header[d.have], byte(0)
	if d.response {
		response = 1
	}
	last := d.header[11] == 1 // from byte 12 on
	switch at := d.have; {
	case at == 0 && b != wire.Version>>8, at == 1 && b != wire.Version&0xff:
		return wire.ErrVersion
	case at == 4 && b != response:
		return wire.ErrDirection
	case at == 9 && wire.Class(b) != wire.ClassUser:
		return wire.ErrClass
	case at == 10 && b >= wire.UserOps:
		return wire.ErrOperation
	case at == 11 && b > 1:
		return wire.ErrComplete
	case at == 12 && b > wire.MaxFrameData>>8, at == 13 && d.header[12] == wire.MaxFrameData>>8 && b > wire.MaxFrameData&0xff:
		return wire.ErrFrameLen
	case at == 12 && !last && b != wire.MaxFrameData>>8:
		return wire.ErrShort
	case !d.first && at >= 5 && at < 9 && b != byte(d.msg.uid>>(8*(8-at))), !d.first && at == 10 && wire.Op(b) != d.msg.op:
		return wire.ErrMixed
	case at == 11 && b == 0 && d.msg.size+wire.MaxFrameData >= wire.MaxPayload:
		return wire.ErrTooLong // something must follow
	case at == 13 && d.msg.size+int(binary.BigEndian.Uint16(d.header[12:])) > wire.MaxPayload:
		return wire.ErrTooLong
	}
	return nil
}

// begin takes what the header of a frame says.
func (d *decoder) begin() {
	d.msg.uid = binary.BigEndian.Uint32(d.header[5:])
	d.msg.op = wire.Op(d.header[10])
	d.left = int(binary.BigEndian.Uint16(d.header[12:]))
}

// take adds a frame's data.
func (d *decoder) take(p []byte) {
	d.left -= len(p)
	d.offset += int64(len(p))
	d.msg.size += len(p)
	d.msg.payload = append(d.msg.payload, p[:min(len(p), d.keep-len(d.msg.payload))]...)
}

// complete ends a frame, and the message if it was its last.
func (d *decoder) complete(found func(*message) error) {
	d.have = 0
	d.first = d.header[11] == 1
	if !d.first {
		return
	}
	d.msg.end = d.offset
	if rule := found(&d.msg); rule != nil {
		d.have = wire.HeaderSize
		d.fail(d.msg.start, rule)
		return
	}
	d.msg.start, d.msg.size = d.offset, 0
}
