// Package store defines what keeps sessions: the [Store] interface, which every listener serves and which names no
// operation code of any protocol, and [Memory], the store that keeps sessions in this process only.
//
// Other stores are raftstore's, which is replicated, and proxy's, which asks servers. Optional interfaces say what else
// a store can do: [NonBlocking], [AsyncStore] and [Counter]. A further kind of data will be one more optional interface
// with methods of its own, and constants of its own after [Have].
package store

import (
	"context"
	"time"
)

// A Store keeps sessions.
//
// Any number of goroutines may call it at once. A call may block until its context is done, and no longer: then it
// returns [wire.Disconnected] (or the context's error, which a listener answers the same way). The client hears what a
// store returns: nil is OK, a [wire.Status] is that status. Any other error is answered Disconnected and logged, so an
// error must not contain session data.
//
// At the deadline a listener answers Disconnected by itself, whether the call has returned or not. A call that outlives
// its context delays the listener's Close, and counts against the listener's bound on requests, until it returns. A
// panic in a store is not recovered.
//
// The caller owns id and data: a store that keeps them copies them before it returns. What Get returns belongs to the
// caller, who does not write to it.
type Store interface {
	// Add stores a session for the given time. It returns MatchingSession when a live session has that id; that session
	// is left as it was. The caller has checked the arguments with [wire.CheckAdd].
	Add(ctx context.Context, id, data []byte, timeout time.Duration) error
	// Get returns a live session's data, or NotOK.
	Get(ctx context.Context, id []byte) ([]byte, error)
	// Remove deletes a live session, or returns NotOK.
	Remove(ctx context.Context, id []byte) error
	// Have tells whether a live session has that id: nil or NotOK.
	Have(ctx context.Context, id []byte) error
}

// An Op is an operation on a store.
type Op uint8

// The operations of [Store].
const (
	Add Op = iota
	Get
	Remove
	Have
)

// A Request is a call of a [Store]'s method as a value.
type Request struct {
	Op      Op
	ID      []byte
	Data    []byte        // of an Add
	Timeout time.Duration // of an Add
}

// A Result is the result of a request: an error as [Store] has it, or none and, for a Get, the session's data.
type Result struct {
	Data []byte
	Err  error
}

// Do calls the method of s that r.Op names.
func Do(ctx context.Context, s Store, r *Request) (result Result) {
	switch r.Op {
	case Add:
		result.Err = s.Add(ctx, r.ID, r.Data, r.Timeout)
	case Get:
		result.Data, result.Err = s.Get(ctx, r.ID)
	case Remove:
		result.Err = s.Remove(ctx, r.ID)
	case Have:
		result.Err = s.Have(ctx, r.ID)
	}
	return result
}

// A NonBlocking is a [Store] that can tell which of its calls answer from memory. A listener makes such calls on the
// connection's own goroutine, which spares a hand-over. All other calls get a goroutine of their own, so that the
// connection's next request need not wait for them.
//
// NonBlocking is asked before each request and must be quick. True is a promise that a call of that operation, made
// now, does not wait for the network, a disk or other callers: until the call returns, its connection is not served. A
// call that has to wait nevertheless is still bound by its context.
type NonBlocking interface {
	NonBlocking(op Op) bool
}

// An AsyncStore is a [Store] that carries requests out without a goroutine that waits for each, as a store can that
// sends requests to another server. A listener then calls Start instead of the Store's methods.
//
// Start begins a request and returns without waiting for its end. done is told how the request ended: exactly once, on
// any goroutine, maybe before Start returns, and soon after the deadline at the latest. By then the listener has
// answered Disconnected by itself. The caller owns r, its ID and its Data again when Start has returned. The data of a
// Get are lent until Done returns. A listener's Close does not wait for requests that have begun.
type AsyncStore interface {
	Store
	Start(r *Request, deadline time.Time, done Completion)
}

// A Completion is told how a request ended. Done does not wait for the client, so it may be called where waiting would
// hold up others.
type Completion interface {
	Done(Result)
}

// A Counter is a [Store] that knows how many live sessions it has. Any number of goroutines may call Len at once.
type Counter interface {
	Len() int
}
