// Package server serves sessions to distcache clients: one listener over any [store.Store].
//
// A store keeps the sessions: [store.Memory], the replicated one of package raftstore, or one that asks other servers.
// The listener does the rest: it reads requests, checks them against the protocol, calls the store under a deadline and
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
// What is not the protocol's business (accepting, limits, workers, writing, shutdown) is package internal/serve.
//
// # One connection
//
// A request that the store answers from memory ([store.NonBlocking]) is carried out by the goroutine that reads the
// connection. One that the store only begins ([store.AsyncStore]) is answered by whoever learns of its end. Any other
// is handed to a worker. Answers go out when they are ready, in any order. Requests for one session id are carried out
// one after the other, in the order in which they came.
package server
