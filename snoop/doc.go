// Package snoop stands between distcache clients and their server, passes their bytes through as they are, and tells
// what went by: a line for each request and each answer.
//
//	clients ──> relay ──────────────────────> server
//	              │ shows each read
//	              v
//	            watch: decoder ─> matcher ─> line ─> queue ─> output
//
// A [Snooper] has two relays for each connection, one in each direction. A relay reads, shows the connection's watch
// what it has read, writes that, and reads again. It knows nothing of the protocol, so what can't be decoded passes
// like everything else, as do a closed direction (a half-close) and a reset.
//
// The watch sees bytes before they are passed on, so that it never sees an answer before its request. It never waits
// for the output: lines go into a queue of limited size, and are counted and dropped when the output is too slow for
// them.
//
// Session data are TLS secrets. Nothing of them is kept past a session id, or printed, unless [Config].Data asks for
// it.
package snoop
