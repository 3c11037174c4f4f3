// Package raftnode is the only owner of a *raft.Raft. It offers the store what the store needs from Raft, in the
// store's own terms: proposing entries ([Node.Propose]), the leader ([Node.Leader], [Node.LeaderChanged]), the
// members ([Node.Members]) and membership changes, snapshots, and figures for the status.
//
// The package works around hashicorp/raft 1.7.3 in the following points. Each line has the symptom, the library's issue
// or the section of the Raft thesis, the file, and the test that fails without the workaround.
//
//   - A future never ends when Raft is shut down while an entry is on its way to the state machine: Node.await;
//     node.go; TestNothingWaitsForAStoppedNode.
//   - Raft panics when it can't read its log or write its term: startRaft here, and package raftlog, which ends the
//     goroutine instead; TestStartOnABrokenDisk.
//   - A leadership transfer begins and does not end, and Raft refuses writes meanwhile (hashicorp/raft#696):
//     propose.go; TestStuckTransfer.
//   - The fast path for heartbeats changes the term outside Raft's main loop (hashicorp/raft#695): package peernet,
//     SetHeartbeatHandler.
//   - Raft waits for a hung disk for ever (hashicorp/raft#503): package raftlog; TestLeaderGivesUpWithItsDisk in
//     raftstore.
//   - Raft retries a node that was down less and less often, in the end every ten seconds: package peernet, health.go;
//     TestSilentNodeGetsNoEntries.
//   - Votes are kept by address, so that two nodes that exchange addresses can both lead in one term: package peernet,
//     EncodePeer; TestVotesAreKeptByID in raftstore.
//   - A voter refuses a candidate that is not a voter by the voter's configuration, even if a later configuration makes
//     the candidate a voter (thesis, section 4.1): admit.go; TestVoteForOneNotKnownToVote in raftstore.
//   - Any node may tell another node to take over leadership: admit.go; TestWhoHandsOver in raftstore.
//   - A leader whose process is gone is replaced only after one or two heartbeat timeouts: election.go;
//     "make bench-failover".
//   - An installed snapshot leaves conflicting entries in the log, and the index and term of the last one in memory
//     (thesis, figure 5.3): machine.go, and Settle in package raftlog; TestSnapshotOverConflictingEntries in raftstore.
//   - Raft writes an entry to its own disk before it sends it (thesis, section 10.2.1): package raftlog;
//     TestUnsyncedLeader.
//   - Raft logs the same message about an unreachable node many times a second, logs ordinary events as errors, and
//     uses keys that a log line has already: logger.go; TestRaftLinesHaveEachKeyOnce.
package raftnode
