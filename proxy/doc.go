// Package proxy is a session store that keeps nothing itself: it asks servers. Behind the listener of package
// wire/server it is dc_client, the local proxy that thousands of short connections share one connection to a server
// through.
//
//	p, err := proxy.New(proxy.Config{Servers: []proxy.Server{proxy.At(first), proxy.At(second)}})
//	...
//	s, err := server.New(server.Config{Store: p, Limits: server.Limits{RequestTimeout: 3 * time.Second}})
//	...
//	p.Close() // after s
//
// # Servers
//
// One server is used at a time: the most preferred one that can answer. The proxy keeps a connection to each of the
// others too, so that it knows whether they are there before it needs them. A server is
//
//   - down: there is no connection on which it has answered;
//   - waiting: it answers, but not requests that need its sessions, for instance because its cluster has no leader;
//   - ready: it has lately answered such a request.
//
// Two probes tell these states apart. A ping is a HAVE of an empty id, which no session can have. A server answers a
// ping at once, so a server that does not is frozen or cut off. A question is a HAVE of a random id: to answer it, a
// server needs what it needs for clients' requests.
//
// # Leaving a server
//
// The proxy leaves a server whose connection is lost at once. When a server owes answers and sends none, the proxy
// pings it, on the same connection and on a second one. Without an answer on either, the proxy leaves the server. With
// an answer on the second only, the second connection replaces the first. The proxy leaves a waiting server only for
// one that has answered a question since the trouble began: while a whole cluster waits for an election, the proxy
// stays where it is and waits too.
//
// Requests that are under way on a server that is left: reads are sent to the next server, and so is a write of which
// nothing has been sent. The fate of any other write is unknown, and is answered
// [github.com/distcache/distcache/wire.Disconnected], unless the connection is still there and the answer comes in
// time. Without any server, everything is answered Disconnected, at once.
//
// A server that is preferred to the one in use is used again when it is ready; requests under way on the other server
// end there. Each time that a server has to be left soon after that, the proxy waits longer before it is used again.
package proxy
