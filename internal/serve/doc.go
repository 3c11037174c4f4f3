// Package serve is what every listener does, whatever it speaks: it accepts connections within limits, reads what they
// send, has requests carried out, writes the answers, and shuts down without dropping a request.
//
// A protocol brings two things. A [Session] for each connection takes requests off the bytes that have arrived. A
// [Request] is one of them that is carried out while the connection goes on, and encodes its own answer:
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
// Requests that were begun under one key are carried out one after the other, in the order in which they came; all
// others at the same time. Their answers go out as they are ready, or in the order of the requests with
// [Config.Ordered], for protocols whose answers have no number. [Conn.Drain] waits for all requests before.
//
// # Who runs what
//
// One goroutine, a worker, reads a connection, and calls Session.Next. A request is carried out by another worker; with
// [Config.Inline], for stores that call back, by whoever begins it, and it ends where the store says so. Answers go out
// in one write with those of a burst. There is no writing goroutine: whoever finds the connection free to write takes
// along the answers of the others.
//
// On unix sockets of Linux, the connections of an Inline server have no goroutine at first: one for all of them accepts
// them and begins what each asks first (short_linux.go), unless DISTCACHE_NO_EPOLL is set in the environment.
//
// # Whose memory
//
// What Next is given belongs to the Conn, and is only lent: [Call.Keep] copies what a request needs later. The answer
// is appended to a buffer of the Conn. All of that is pooled and counted.
//
// # Bounds
//
// A peer's bytes are hostile. What breaks the protocol ends the connection it came on and no other, and each wait for a
// peer, each queue and each size has a bound in [Limits].
package serve
