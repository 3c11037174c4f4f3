package server

import (
	"context"
	"time"

	"github.com/distcache/distcache/wire"
)

// A Store keeps sessions. The listener serves any Store alike: the in-memory one of this package, the replicated one of
// raftstore, or one that asks other servers.
//
// Any number of goroutines may call it at once. A call may block until its context is done, and not longer: then it
// returns [wire.Disconnected] (or the context's error, which the listener answers the same way). What a store returns
// is what the client hears: nil is OK, a [wire.Status] is that status, and any other error is answered Disconnected
// and logged, so it must not contain session data.
//
// The listener answers Disconnected by itself when the deadline comes, whether the call has returned or not; but a call
// that outlives its context holds up [Server.Close], and counts against Config.MaxRequests, until it returns. A panic
// in a store is not recovered.
//
// The caller owns id and data: a store that keeps them copies them before it returns. What Get returns belongs to the
// caller, who does not write to it.
type Store interface {
	// Add stores a session for the given time. MatchingSession when a live session has that id, which is then left
	// as it was. The caller has held the arguments against [wire.CheckAdd].
	Add(ctx context.Context, id, data []byte, timeout time.Duration) error
	// Get returns a live session's data, or NotOK.
	Get(ctx context.Context, id []byte) ([]byte, error)
	// Remove deletes a live session, or says NotOK.
	Remove(ctx context.Context, id []byte) error
	// Have says whether a live session has that id: nil or NotOK.
	Have(ctx context.Context, id []byte) error
}

// A Prompter is a [Store] that can tell which of its calls answer from memory. The listener makes those on the
// connection's own goroutine and spares the hand-over to another; all other calls get a goroutine of their own, so that
// the connection's next request need not wait for them.
//
// Prompt is asked before each request and must be quick. True is a promise that a call of that operation, made now,
// answers without waiting for the network, a disk or other callers: while it lasts, the connection it came on is not
// served. A call that has to wait nevertheless is still bound by its context.
type Prompter interface {
	Prompt(op wire.Op) bool
}

// A Counter is a [Store] that knows how many live sessions it has. Any number of goroutines may call Len at once.
type Counter interface {
	Len() int
}
