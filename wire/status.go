package wire

import "strconv"

// A Status is the one-byte answer to a request. Every status but OK is an error that a store returns and a client
// hears; the connection stays usable. Compare with errors.Is or ==.
type Status uint8

const (
	// OK: it was done, or the session is there.
	OK Status = 0
	// NotOK: no live session has that id.
	NotOK Status = 1
	// Disconnected: the request could not be carried out in time, or its fate is unknown. A write with this answer may
	// still take effect.
	Disconnected Status = 2
	// Corrupt: the id length of an ADD does not fit its payload.
	Corrupt Status = 100
	// MatchingSession: an ADD whose id has a live session, which is left as it was.
	MatchingSession Status = 101
	// TimeoutRange: an ADD with a timeout over MaxTimeout.
	TimeoutRange Status = 102
	// IDRange: an ADD with an id of no bytes or of more than MaxID.
	IDRange Status = 103
	// DataRange: an ADD with no data or with more than MaxData bytes.
	DataRange Status = 104
)

// Error describes the status.
func (s Status) Error() string {
	switch s {
	case OK:
		return "ok"
	case NotOK:
		return "no such session"
	case Disconnected:
		return "disconnected: no answer from the cache"
	case Corrupt:
		return "corrupt request"
	case MatchingSession:
		return "a session with that id exists"
	case TimeoutRange:
		return "timeout out of range"
	case IDRange:
		return "session id length out of range"
	case DataRange:
		return "session data length out of range"
	}
	return "unknown status " + strconv.Itoa(int(s))
}

// Name is the status as PROTOCOL writes it, for tools' output: OK, NOTOK, MATCHING_SESSION and so on.
func (s Status) Name() string {
	switch s {
	case OK:
		return "OK"
	case NotOK:
		return "NOTOK"
	case Disconnected:
		return "DISCONNECTED"
	case Corrupt:
		return "CORRUPT"
	case MatchingSession:
		return "MATCHING_SESSION"
	case TimeoutRange:
		return "TIMEOUT_RANGE"
	case IDRange:
		return "ID_RANGE"
	case DataRange:
		return "DATA_RANGE"
	}
	return "STATUS_" + strconv.Itoa(int(s))
}

// Err is nil for OK, and the status itself for all others.
func (s Status) Err() error {
	if s == OK {
		return nil
	}
	return s
}
