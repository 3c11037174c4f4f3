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
// One server is used at a time, the first in order of preference that can be. A connection to each of the others is
// kept, so that it is known to be there before it is needed. A server is
//
//   - down: there is no connection on which it has answered;
//   - waiting: it answers, but not requests that need its sessions (its cluster has no leader, say);
//   - ready: it has lately answered such a request.
//
// Two probes tell these apart. A ping is a HAVE of an empty id, which no session can have: a server answers it without
// looking, so whoever owes it is frozen or cut off. A question is a HAVE of a random id, which takes the server what
// clients' requests take.
//
// # Leaving a server
//
// A lost connection is left at once. One on which answers are owed and none comes is pinged, there and on a second
// connection: with no answer on either the server is taken for silent, and left; with one on the second only, that
// takes the first one's place. A server that is waiting is left only for one that has answered a question since the
// trouble began. So when a whole cluster waits for an election the proxy stays where it is and waits too.
//
// What is under way on a server that is left: reads are asked again on the next; a write that had not begun to go out
// is sent there; the fate of any other write is unknown, and [github.com/distcache/distcache/wire.Disconnected] is the
// answer, unless the connection is still there and the true answer comes in time. Without any server the answer to
// everything is Disconnected, at once.
//
// A server preferred to the one in use is taken up again when it is ready; requests under way on the other one end
// there. One that has to be left again soon after that is taken up ever later.
package proxy
