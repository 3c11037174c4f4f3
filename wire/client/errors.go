package client

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// What a call can come to besides an answer. Test with errors.Is: an error may match several of them, and wraps what
// caused it. The server's own answers are [github.com/distcache/distcache/wire.Status] values.
var (
	// ErrLost is returned when the connection ended after the request, or a part of it, was written and before its
	// answer came. Whether the server carried it out is unknown.
	ErrLost = errors.New("connection lost with the request under way")
	// ErrNotSent is returned when nothing of the request was written, for whatever reason: it may be sent elsewhere.
	ErrNotSent = errors.New("request not sent")
	// ErrTimeout is returned, together with context.DeadlineExceeded, when a call's time was up before its answer
	// came. Unless it matches ErrNotSent too, whether the server carries the request out is unknown.
	ErrTimeout = errors.New("no answer in time")
	// ErrClosed is returned, together with ErrLost or ErrNotSent, when the connection or client was closed on this
	// side.
	ErrClosed = errors.New("closed")
	// ErrBusy is returned, together with ErrNotSent, by Conn.Start when as many requests are under way as the
	// connection takes.
	ErrBusy = errors.New("too many requests under way")
	// ErrRequest is returned, together with ErrNotSent, for a request that the connection's rules don't allow: an
	// operation its class does not have, or a payload that is too long.
	ErrRequest = errors.New("request against the protocol's rules")
)

// Prepared, since the one who gives up waiting is often one of thousands.
var (
	errTimeout         = fmt.Errorf("%w: %w", ErrTimeout, context.DeadlineExceeded)
	errTimeoutNotSent  = fmt.Errorf("%w: %w: %w", ErrTimeout, ErrNotSent, context.DeadlineExceeded)
	errCanceled        = fmt.Errorf("gave up waiting for the answer: %w", context.Canceled)
	errCanceledNotSent = fmt.Errorf("%w: %w", ErrNotSent, context.Canceled)
	errBusy            = fmt.Errorf("%w: %w", ErrNotSent, ErrBusy)
	errPeerClosed      = fmt.Errorf("closed by the peer: %w", io.EOF)
)

// gaveUp is the error of a call whose context ended.
func gaveUp(ctx context.Context, sent bool) error {
	switch deadline := errors.Is(ctx.Err(), context.DeadlineExceeded); {
	case deadline && sent:
		return errTimeout
	case deadline:
		return errTimeoutNotSent
	case sent:
		return errCanceled
	}
	return errCanceledNotSent
}
