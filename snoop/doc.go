// Package snoop stands between distcache clients and their server, passes their bytes through as they are, and tells
// what went by: a line for each request and each answer.
//
//	clients ──> relay ──────────────────────> server
//	              │ shows each read
//	              v
//	            watch: decoder ─> matcher ─> line ─> queue ─> output
//
// A [Snooper] has two relays for each connection, one in each direction. A relay reads, shows what it has read to the
// connection's watch, writes it, and reads again. A relay knows nothing of the protocol: bytes that can't be decoded
// are passed on like all others, and so are a half-close and a reset.
//
// The watch sees bytes before they are passed on, so that it sees a request before its answer. It never waits for the
// output: lines go into a queue of limited size, and are counted and dropped when the output is too slow.
//
// Session data are TLS secrets. Unless [Config].Data asks for them, nothing of a payload past the session id is kept or
// printed.
package snoop
