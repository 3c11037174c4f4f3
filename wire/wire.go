// Package wire is the distcache protocol, version 0x0011: frames, messages, the payloads of the four operations, status
// codes and addresses. It holds no connections and starts no goroutines; [github.com/distcache/distcache/wire/client]
// and [github.com/distcache/distcache/wire/server] do that on top of it.
//
// # Frames
//
// A connection carries frames in both directions. Every integer is big-endian.
//
//	offset size field
//	0      4    proto_level   version (0x0011) in the high 16 bits, patch level in the low 16
//	4      1    is_response   0 request, 1 response
//	5      4    request_uid   chosen by the requester, copied into the response
//	9      1    op_class      0 USER
//	10     1    operation     0 ADD, 1 GET, 2 REMOVE, 3 HAVE
//	11     1    complete      1 on the last frame of a message, else 0
//	12     2    data_len      0..2048; exactly 2048 unless complete
//	14     n    data
//
// # Messages
//
// A message is one or more frames with the same uid, class and operation, back to back. Their data joined are its
// payload, at most [MaxPayload] bytes. Writers emit the fewest frames: 2048 bytes are one complete frame, 4096 are two,
// and an empty payload is one complete frame without data.
//
// Anything that breaks these rules is corruption ([ErrCorrupt]). It ends the connection on which it arrives, and no
// other.
//
// # Payloads
//
//	op      request                                             response
//	ADD     u32 timeout in ms, u32 id length, id, session data  one status byte
//	GET     id                                                  session data, or one status byte
//	REMOVE  id                                                  one status byte
//	HAVE    id                                                  one status byte
//
// Session data are TLS secrets: nothing in this package puts them into an error or a string.
package wire

import "time"

// The protocol level that this package writes. Any patch level of Version is read.
const (
	Version    = 0x0011
	PatchLevel = 0
)

// Sizes, in bytes.
const (
	HeaderSize   = 14                            // of a frame's header
	MaxFrameData = 2048                          // of the data in one frame
	MaxFrames    = 16                            // of frames in one message
	MaxPayload   = MaxFrames * MaxFrameData      // of a message's payload: 32768
	MaxID        = 64                            // of a session id; the least is 1
	MaxData      = 32768                         // of session data; the least is 1
	AddOverhead  = 8                             // of an ADD payload before the id: timeout and id length
	MaxAddData   = MaxPayload - AddOverhead - 32 // of session data in an ADD with the usual 32-byte id: 32728
)

// MaxTimeout is the longest timeout that an ADD may ask for: 7 days.
const MaxTimeout = 7 * 24 * time.Hour

// A Class is a frame's op_class.
type Class uint8

const (
	// ClassUser is the class of everything that clients send.
	ClassUser Class = 0
	// ClassPeer is the class of what the nodes of a cluster send each other on their peer port. The original does not
	// have it. A public listener refuses it. Package raftstore defines its operations.
	ClassPeer Class = 0x70
)

// An Op is a frame's operation.
type Op uint8

// The operations of ClassUser.
const (
	OpAdd    Op = 0
	OpGet    Op = 1
	OpRemove Op = 2
	OpHave   Op = 3

	// UserOps is the number of operations.
	UserOps = 4
)

// String names the operation as PROTOCOL and the original tools do.
func (o Op) String() string {
	switch o {
	case OpAdd:
		return "ADD"
	case OpGet:
		return "GET"
	case OpRemove:
		return "REMOVE"
	case OpHave:
		return "HAVE"
	}
	return "UNKNOWN"
}
