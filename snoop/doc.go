// Package snoop stands between distcache clients and their server, passes their bytes through as they are, and tells
// what went by: a line for each request and each answer.
//
//	clients ──> relay ──────────────> server
//	               │ copies, in order
//	               v
//	            decoder ─> matcher ─> printer ─> queue ─> output
//
// A [Snooper] has two relays for each connection, one in each direction. A relay hands a copy of what it has read to
// the connection's decoder, writes the bytes, and reads again. It knows nothing of the protocol, so what can't be
// decoded passes like everything else, as do a closed direction (a half-close) and a reset.
//
// The decoder takes the copies in the order in which they were read, so that it never sees an answer before the
// request that it answers. It waits for nobody: lines go into a queue of limited size, and are counted and dropped when
// the output is too slow for them. A relay waits for its decoder only if that has fallen many reads behind, which
// is a matter of processor time.
//
// Session data are TLS secrets. Nothing of them is kept past a session id, or printed, unless [Config].Data asks for
// it.
package snoop
