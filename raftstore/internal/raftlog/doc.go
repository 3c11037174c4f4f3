// Package raftlog is a node's Raft log, which holds the node's term and vote too.
//
//	Log     what Raft calls: unsynced entries, recent entries in memory, the newest configuration, installed snapshots
//	disk    checksums, the time limit for a write, and ending the node after an error of the disk
//	Files   package boltlog (one bbolt file) or package walfile (files that are only appended to)
//
// Open opens the log in a data directory. Convert converts between the two kinds of files.
//
// # Unsynced entries
//
// A leader writes entries to its own disk while it sends them to the others (Raft thesis, section 10.2.1).
// hashicorp/raft does one after the other, so that a write waits for two disks in turn. Raft counts the leader's own
// copy of an entry as soon as StoreLogs returns, which here may be before the copy is on disk. This is safe because
// the leader's copy alone commits nothing:
//
//   - Entries may be unsynced only while this node leads a cluster of two voters or more. Every majority of these
//     voters includes another node.
//   - The transport withholds another node's answer to entries from Raft until the same entries are on this node's disk
//     (WaitDurable). So when that answer completes a majority, this node's copy is synced as well.
//   - A membership change, and all entries before it, are synced before StoreLogs returns: the new configuration may
//     have a single voter.
//   - All entries are synced before a term or vote is written. A former leader that has become a follower has stored a
//     later term, so a follower never acknowledges entries that it has not synced.
//
// A crash loses unsynced entries. This node has not acknowledged them to anybody. Copies of them on other nodes are
// like those of any leader that failed before it could commit.
package raftlog
