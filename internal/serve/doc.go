// Package serve has what all listeners have in common, whatever protocol they speak: it accepts connections within
// limits, reads requests, has them carried out, writes the answers, and shuts down without dropping a request.
//
// A protocol brings two things. A [Session], one for each connection, takes requests off the bytes that have arrived. A
// [Request] is a request that is carried out while the connection goes on; it encodes its own answer:
//
//	open := func(c *serve.Conn) serve.Session { return &session{c} }
//	s, err := serve.New(serve.Config{Open: open, MaxMessage: 1 << 20})
//	...
//	func (s *session) Next(b []byte) (taken int, err error) {
//		... parse one request off b; 0 bytes are taken when it is not whole ...
//		s.conn.Answer(reply)             // what is known at once
//		s.conn.Begin(request, key)       // what has to wait: for a disk, for others
//	}
//
// # Order
//
// Requests that were begun under one key are carried out one after the other, in the order in which they came. All
// others are carried out at the same time. Answers go out as they are ready, or with [Config.Ordered] in the order of
// the requests, for protocols whose answers have no number. [Conn.Drain] waits for all requests before.
//
// # Who runs what
//
// One goroutine, a worker, reads a connection and calls Session.Next. Another worker carries a request out. With
// [Config.Inline], for stores that call back, the goroutine that begins a request carries it out, and the request ends
// on the goroutine that the store calls back. Answers of a burst go out in one write. There is no writing goroutine: a
// goroutine that finds the connection free to write also writes the answers of the others.
//
// On unix sockets of Linux, the connections of an Inline server share one goroutine at first. It accepts them and
// begins their first requests (short_linux.go), unless DISTCACHE_NO_EPOLL is set in the environment.
//
// # Whose memory
//
// The bytes that Next is given belong to the Conn, and are only lent: [Call.Keep] copies what a request needs later.
// Answers are appended to a buffer of the Conn. All this memory is pooled, and counted.
//
// # Bounds
//
// A peer's bytes are hostile. Bytes that break the protocol end the connection on which they arrive, and no other.
// [Limits] bound each wait for a peer, each queue and each size.
package serve
