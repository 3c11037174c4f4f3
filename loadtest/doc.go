// Package loadtest drives servers of the distcache protocol, in three ways:
//
//   - [RunBarrage] checks answers: random operations on sessions of its own, each answer held against what must be so.
//   - [RunBench] measures: throughput and latency under a mix of operations, on many connections.
//   - A [Ledger] keeps account of what servers have acknowledged while they are being killed, and verifies
//     afterwards that they have kept their word.
//
// All three make ids and data that no other run has, so several may go on against the same servers. Session data is
// in no report: lengths and offsets only.
package loadtest

import (
	"context"
	"time"
)

// A Store is what a barrage checks: a server, through a client, or anything that behaves as one. What is required of
// it is written at the interface of the same name in package wire/server.
type Store interface {
	Add(ctx context.Context, id, data []byte, timeout time.Duration) error
	Get(ctx context.Context, id []byte) ([]byte, error)
	Remove(ctx context.Context, id []byte) error
	Have(ctx context.Context, id []byte) error
}

// DefaultRequestTimeout is how long one request may take, a new connection for it included. It is above a server's own
// limit, so that a server without a leader is heard saying so.
const DefaultRequestTimeout = 5 * time.Second
