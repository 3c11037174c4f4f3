// Package state is the replicated state machine of raftstore: bytes of committed log entries in, results out. It reads
// no clock and knows no network, so every replica that applies the same entries holds the same sessions.
//
// # In memory
//
// An index from session id to expiry and sequence number, and a heap in order of expiry, for expiring and evicting. A
// session's data stay in memory until they have been flushed; reads go to the file, through the page cache, after that.
//
// # In the file
//
// One bbolt file with two buckets: sessions, keyed by expiry (8 bytes, big-endian ms) and sequence (8 bytes), the value
// being the id's length, the id and the data; and meta: format, applied index and term, last stamp, last sequence, the
// recorded results of each client session, and the clock by which client sessions are forgotten. Each record but the
// format has a checksum.
//
// Apply changes memory only. A flusher writes all that changed since the last flush, with the applied index, in one
// synced transaction. The Raft log is the write-ahead log of it all: after a crash the file holds a consistent state at
// its applied index, and the log replays the rest; Apply skips the entries that the file already holds.
package state
