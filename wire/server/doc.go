// Package server serves sessions to distcache clients: one listener over any [store.Store].
//
// A store keeps the sessions: [store.Memory], the replicated one of package raftstore, or one that asks other servers. The
// listener does the rest: it reads requests, holds them against the protocol, calls the store under a deadline and
// writes the answers.
//
//	sessions := store.NewMemory(1000000)
//	s, err := server.New(server.Config{Store: sessions})
//	...
//	go s.Serve(l)        // for each listener
//	...
//	s.Shutdown(ctx)      // answers what was asked, then closes
//	sessions.Close()
//
// # One connection
//
// One goroutine reads. A request that the store answers from memory ([store.NonBlocking]) is carried out right there, and the
// answers of a burst go out in one write. One that the store only begins ([store.AsyncStore]) is answered by whoever learns of its
// end, as far as the kernel takes the answer at once. Any other is handed to a worker, a goroutine kept from earlier requests, and
// its answer goes out when it is done, in any order; whoever finds the connection free to write takes along the
// answers of the others, so there is no writing goroutine. Requests for one session id are carried out one after the
// other, in the order in which they came.
//
// On unix sockets of Linux an AsyncStore's connections have no goroutine at first: one for all of them accepts them and
// begins what each asks first. Those that ask more are then served as above.
//
// A peer's bytes are hostile. What breaks the protocol ends the connection it came on and no other, and each wait for
// a peer, each queue and each size has a bound in [Config].
package server
