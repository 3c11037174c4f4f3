package snoop

import (
	"fmt"

	"github.com/distcache/distcache/wire"
)

// tlsHandshake is the first byte of a connection with TLS.
const tlsHandshake = 0x16

// A message is one whole request or answer.
type message struct {
	wire.Header        // of the message's last frame
	payload     []byte // its beginning, as much as the decoder keeps; valid until the decoder is fed again
	size        int    // of the whole payload
	start, end  int64  // offsets of its first byte, and of the byte after its last, in its direction of the connection
}

// A fault is a broken rule of the protocol, and where it was broken.
type fault struct {
	offset int64 // of the offending byte in its direction of the connection
	rule   error // matches wire.ErrCorrupt
}

// A decoder finds the messages in one direction of a connection. It is fed the bytes in pieces of any size. After the
// first byte that breaks a rule it only counts bytes: nothing that follows can be trusted.
type decoder struct {
	rules wire.Rules
	keep  int // how much of a payload is kept

	fault  *fault // the rule that was broken, nil for none
	offset int64  // of the next byte

	header [wire.HeaderSize]byte // of the frame under way
	have   int                   // bytes of header that have come
	left   int                   // bytes of the frame's data still to come
	before *wire.Header          // of the message's frame before: nil, or &msg.Header
	msg    message               // under way
}

func newDecoder(rules wire.Rules, keep int) *decoder {
	return &decoder{rules: rules, keep: min(keep, wire.MaxPayload)}
}

// feed takes the next bytes, and calls found with each message that they complete. An error of found is a rule that the
// message as a whole breaks; it ends decoding as any other broken rule does.
func (d *decoder) feed(p []byte, found func(*message) error) {
	for len(p) > 0 && d.fault == nil {
		if d.have < wire.HeaderSize {
			p = p[d.takeHeader(p):]
			if d.have < wire.HeaderSize || d.fault != nil {
				break
			}
		}
		n := min(d.left, len(p))
		d.takeData(p[:n])
		p = p[n:]
		if d.left == 0 {
			d.endFrame(found)
		}
	}
	if d.fault != nil {
		d.offset += int64(len(p))
	}
}

// end tells the decoder that no more bytes come.
func (d *decoder) end() {
	if d.fault == nil && d.offset > d.msg.start {
		d.fail(d.offset, wire.ErrTruncated)
	}
}

// broken is the header of the frame that broke a rule, up to the byte that broke it.
func (d *decoder) broken() []byte { return d.header[:d.have] }

// lost tells how many bytes have gone by that belong to no message that was found.
func (d *decoder) lost() int64 {
	if d.fault == nil {
		return 0
	}
	return d.offset - d.msg.start
}

func (d *decoder) fail(at int64, rule error) { d.fault = &fault{at, rule} }

// takeHeader takes the part of p that belongs to the frame's header, up to a byte that breaks a rule, and returns its
// length.
func (d *decoder) takeHeader(p []byte) int {
	n := copy(d.header[d.have:], p)
	at, rule := d.rules.CheckHeader(d.header[:d.have+n], d.before, d.msg.size)
	if rule != nil {
		n = at - d.have
		if d.offset == 0 && n == 0 && p[0] == tlsHandshake {
			rule = fmt.Errorf("this is TLS, which only its two ends can decode: %w", rule)
		}
		d.fail(d.offset+int64(n), rule)
		d.have++ // broken includes the byte that broke the rule
	}
	d.offset += int64(n)
	d.have += n
	if rule == nil && d.have == wire.HeaderSize {
		d.msg.Header = wire.ParseHeader(d.header[:])
		d.left = d.msg.Len
	}
	return n
}

// takeData adds some of the frame's data to the message.
func (d *decoder) takeData(p []byte) {
	d.left -= len(p)
	d.offset += int64(len(p))
	d.msg.size += len(p)
	d.msg.payload = append(d.msg.payload, p[:min(len(p), d.keep-len(d.msg.payload))]...)
}

// endFrame ends a frame, and the message if the frame is its last.
func (d *decoder) endFrame(found func(*message) error) {
	if !d.msg.Last {
		d.have, d.before = 0, &d.msg.Header
		return
	}
	d.msg.end = d.offset
	if rule := found(&d.msg); rule != nil {
		d.fail(d.msg.start, rule)
		return
	}
	d.have, d.before = 0, nil
	d.msg = message{payload: d.msg.payload[:0], start: d.offset}
}
