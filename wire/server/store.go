package server

import (
	"context"
	"time"
)

// A Store keeps sessions. The listener serves any Store alike: the in-memory one of this package, the replicated one of
// raftstore, or one that asks other servers.
//
// Any number of goroutines may call it at once. A call may block until its context is done, and not longer: then it
// returns [wire.Disconnected] (or the context's error, which the listener answers the same way). What a store returns
// is what the client hears: nil is OK, a [wire.Status] is that status, and any other error is answered Disconnected
// and logged, so it must not contain session data.
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
