package wire

import "errors"

// ErrCorrupt matches, by errors.Is, every way in which a peer can break the protocol. The connection it came on must
// be closed: nothing that follows on it can be trusted.
var ErrCorrupt = errors.New("protocol broken by the peer")

// The rules of a frame and a message, in the order in which they are checked. Each matches ErrCorrupt.
var (
	ErrVersion   = corruption("version is not 0x0011")
	ErrDirection = corruption("is_response is not what this side receives")
	ErrClass     = corruption("unknown op_class")
	ErrOperation = corruption("unknown operation")
	ErrComplete  = corruption("complete is neither 0 nor 1")
	ErrFrameLen  = corruption("data_len is over 2048")
	ErrShort     = corruption("an incomplete frame carries less than 2048 bytes")
	ErrMixed     = corruption("frames of two messages interleave")
	ErrTooLong   = corruption("message is over its largest size")
	ErrTruncated = corruption("connection ended within a message")
	ErrShortAdd  = corruption("ADD payload is under 8 bytes")
)

// A corruption is one rule that was broken.
type corruption string

func (c corruption) Error() string        { return string(c) }
func (c corruption) Is(target error) bool { return target == ErrCorrupt || target == error(c) }
