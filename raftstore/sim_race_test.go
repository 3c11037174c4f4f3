//go:build race

package raftstore

// simLeftOut are the kinds of faults that "go test -race" goes without: when a member's address changes, hashicorp/raft
// 1.7.3 writes it while another goroutine of its own reads the peer without the lock (replication.go,
// updateLastAppended). What is read there is the ID, which stays the same.
const simLeftOut = "-move,-swap"
