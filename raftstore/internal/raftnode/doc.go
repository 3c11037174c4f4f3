// Package raftnode is the only owner of a *raft.Raft. It gives the store what the store needs of Raft, in the store's own
// terms: propose an entry ([Node.Propose]), who leads ([Node.Leader], [Node.LeaderChanged]), who the members are
// ([Node.Members]) and changes of them, snapshots, and the figures of status.
//
// hashicorp/raft 1.7.3 is worked around in these points. Each line has the symptom, where it is known from, the file, and
// the test that fails without it.
//
//   - A future never ends when Raft is shut down while an entry is on its way to the state machine: Node.await; node.go;
//     TestNothingWaitsForAStoppedNode.
//   - Raft panics when it can't read its log or write its term: startRaft here, and package raftlog, which ends the
//     goroutine instead; TestStartOnABrokenDisk.
//   - A transfer of leadership begins and does not end, and no writes are taken meanwhile (hashicorp/raft#696):
//     propose.go; TestStuckTransfer.
//   - The fast path for heartbeats changes the term outside Raft's main loop (hashicorp/raft#695): package peernet,
//     SetHeartbeatHandler.
//   - Raft waits for a hung disk for ever (hashicorp/raft#503): package raftlog; TestLeaderGivesUpWithItsDisk in raftstore.
//   - A node that was away is tried less and less often, in the end each ten seconds: package peernet, reach.go;
//     TestSilentNodeGetsNoEntries.
//   - Votes are kept by address, so that two nodes that exchange theirs can both lead a term: package peernet,
//     EncodePeer; TestVotesAreKeptByID in raftstore.
//   - A candidate that is a nonvoter, or unknown, by the voter's configuration is refused, also where it may lead by a
//     later configuration (thesis, section 4.1): admit.go; TestVoteForOneNotKnownToVote in raftstore.
//   - Any node may tell another one to take over leadership: admit.go; TestWhoHandsOver in raftstore.
//   - A leader whose process is gone is replaced after a heartbeat timeout or two: election.go;
//     "make bench-failover".
//   - An installed snapshot leaves conflicting entries in the log, and the index and term of the last one in memory
//     (thesis, figure 5.3): machine.go, and Settle in package raftlog; TestSnapshotOverConflictingEntries in raftstore.
//   - Raft writes an entry to its own disk before it sends it (thesis, section 10.2.1): package raftlog;
//     TestUnsyncedLeader.
//   - Raft logs the same of an unreachable node many times a second, calls the life of any cluster errors, and has keys
//     that a line has already: logger.go; TestRaftLinesHaveEachKeyOnce.
package raftnode
