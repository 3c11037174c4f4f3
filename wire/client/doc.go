// Package client speaks the distcache protocol to a server.
//
// A [Client] is what most programs want: it is made by [Dial] of an address, holds one connection that any number of
// goroutines share, and opens a new one when it is lost. Its four methods make it a Store, the same interface as a
// server's own.
//
// A [Conn] is the one connection below it, for programs that need to know what became of each: requests of many
// goroutines under way at once, answers matched by uid. It knows whether a failed request was sent at all
// ([ErrNotSent]) or may have been carried out ([ErrLost]).
package client
