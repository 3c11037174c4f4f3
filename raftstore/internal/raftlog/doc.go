// Package raftlog is a node's Raft log, which holds the node's term and vote too.
//
//	Log     what Raft calls: unsynced entries, recent entries in memory, the newest configuration, installed snapshots
//	disk    checksums, how long a write takes, and what an error of the disk does to the node
//	Files   package boltlog (one bbolt file) or package walfile (files that are only appended to)
//
// Open makes a Log of the files in a data directory. Convert makes the files of one kind those of the other.
//
// # Unsynced entries
//
// A leader writes entries to its own disk while it sends them to the others (Raft thesis, section 10.2.1).
// hashicorp/raft does one after the other, so that a write takes two disks' time. Raft counts the leader's own copy
// of an entry as soon as StoreLogs returns, which here may be before the copy is on disk. What makes that safe is
// that the leader's copy alone commits nothing:
//
//   - Entries may be unsynced only while this node leads a cluster of two voters or more. A majority of those has
//     another node in it.
//   - The transport keeps another node's answer to entries from Raft until the same entries are on this node's disk
//     (WaitDurable). So when that answer makes a majority, this node's copy is worth being counted.
//   - An entry that changes the membership is synced before StoreLogs returns, and all entries before it are: the new
//     configuration may have one voter only.
//   - All entries are synced before a term or vote is written. A node that follows has stored a later term than the
//     one in which it led, so a follower never acknowledges entries that it has not synced.
//
// A crash loses unsynced entries. Nobody was told that this node has them, and the copies that other nodes have are
// like those of any leader that did not get to commit.
package raftlog
