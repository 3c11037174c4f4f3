package wire

import "errors"

// ErrCorrupt matches, by errors.Is, every way in which a peer can break the protocol. The connection must then be
// closed: nothing that follows on it can be trusted.
var ErrCorrupt = errors.New("protocol broken by the peer")

// The rules of frames, messages and payloads. Each matches ErrCorrupt.
var (
	ErrVersion   error = corruption("version is not 0x0011")
	ErrDirection error = corruption("is_response is not what this side receives")
	ErrClass     error = corruption("unknown op_class")
	ErrOperation error = corruption("unknown operation")
	ErrComplete  error = corruption("complete is neither 0 nor 1")
	ErrFrameLen  error = corruption("data_len is over 2048")
	ErrShort     error = corruption("an incomplete frame carries less than 2048 bytes")
	ErrMixed     error = corruption("frames of two messages interleave")
	ErrTooLong   error = corruption("message is over its largest size")
	ErrTruncated error = corruption("connection ended within a message")
	ErrShortAdd  error = corruption("ADD payload is under 8 bytes")
)

// A corruption is a rule that was broken.
type corruption string

func (c corruption) Error() string        { return string(c) }
func (c corruption) Is(target error) bool { return target == ErrCorrupt || target == error(c) }
