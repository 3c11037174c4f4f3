// Package raftstore keeps sessions on disk and on several machines. A [Store] is a [store.Store] whose ADDs and REMOVEs
// are entries of a Raft log, synced by a majority of the nodes before they are answered, and whose sessions live in a
// bbolt file that every node derives from that log.
//
//	s, err := raftstore.Open(raftstore.Config{Dir: "/var/lib/distcache", Name: "n1"})
//
// opens a single node: durable, alone, with no port open. With Config.Peer it can grow: other nodes join it through
// Config.Join or by a call of Join, or several start together with the same Config.Cluster.
//
// # How a write goes
//
// Add and Remove give the request an identity and hand it to the leader: to the batcher, on the leader itself, else
// over a connection to the leader's peer port. The batcher gathers what arrives while earlier entries are under way
// into one log entry. When the entry is committed and applied, every request in it gets its status. When leadership
// changes midway the request is asked again under the same identity, and the state machine answers from the recorded
// result if it was applied before.
//
// # How a read goes
//
// Get and Have are linearizable unless Config.Reads says otherwise. The leader answers after a majority of voters has
// confirmed, since the read arrived, that nobody else has been elected; one round of questions serves all the reads
// that wait for it. A follower asks the leader, once for all the reads that wait, how far it must have come: it answers
// from its own state machine if that is there, else the leader answers.
//
// # Files
//
// The packages below internal are the parts: raftnode owns Raft, raftlog is the log, state the state machine with its
// file, entry the format of log entries, snapstore the snapshots, peernet the peer port, serverid the IDs of servers.
// In this package a [Store] is a front over parts: write.go and batcher.go are the way of a write, read.go that of a
// read, peers.go and peerserve.go what nodes say to each other; found.go, join.go, membership.go, promotion.go and
// admission.go are how a cluster comes to be and changes.
package raftstore
