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
	"time"

	"github.com/distcache/distcache/wire/store"
)

// A Store is what a barrage checks: a server, through a client, or anything that behaves as one.
type Store = store.Store

// DefaultRequestTimeout is how long one request may take, including a new connection for it. It is above a server's own
// limit, so that a server without a leader has time to answer DISCONNECTED.
const DefaultRequestTimeout = 5 * time.Second
