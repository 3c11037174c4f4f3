// Package node has the metrics of a replicated store.
package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/distcache/distcache/internal/metrics"
	"github.com/distcache/distcache/raftstore"
)

// A Source is a store whose metrics are exported.
type Source interface {
	Status() raftstore.Status
	Metrics() raftstore.Metrics
}

// roles are the roles that a node can report of itself.
var roles = []raftstore.Role{
	raftstore.RoleLeader, raftstore.RoleFollower, raftstore.RoleCandidate,
	raftstore.RoleJoining, raftstore.RoleRemoved, raftstore.RoleStopped,
}

var (
	role      = metrics.Desc("raft_role", "1 for what this node is in its cluster, 0 for what it is not.", "role")
	hasLeader = metrics.Desc("raft_has_leader", "1 while this node knows a leader.")
	votes     = metrics.Desc("raft_voter", "1 while this node votes.")
	members   = metrics.Desc("raft_members", "Members of the cluster as this node has them.", "kind")
	term      = metrics.Desc("raft_term", "The term of Raft.")
	last      = metrics.Desc("raft_last_index", "The last log entry that this node has.")
	commit    = metrics.Desc("raft_commit_index", "The last log entry that this node knows to be committed.")
	applied   = metrics.Desc("raft_applied_index", "The last log entry that this node's state machine has applied.")
	flushed   = metrics.Desc("raft_flushed_index", "The last log entry whose effects are in this node's state file.")
	lag       = metrics.Desc("raft_lag_entries", "Log entries that this node knows to be committed and has not applied yet.")
	elections = metrics.Desc("raft_elections_total", "How often this node, without a leader, asked for votes.")
	leaders   = metrics.Desc("raft_leader_changes_total", "How often this node has come to know another leader.")

	clock = metrics.Desc("clock_offset_seconds", "How far a member's wall clock is ahead of the median of the voters', as this node sees it.", "node")

	batchOperations = metrics.Desc("batch_operations", "Operations in each log entry that this node proposed as the leader.")
	batchBytes      = metrics.Desc("batch_size_bytes", "Size of each log entry that this node proposed as the leader.")
	batchSeconds    = metrics.Desc("batch_duration_seconds", "Time until a log entry that this node proposed was committed and applied.")

	logSeconds = metrics.Desc("log_write_duration_seconds", "Time to append entries to the log and sync it.")
	logWritten = metrics.Desc("log_written_bytes_total", "Bytes of log entries appended.")
	logSize    = metrics.Desc("log_file_bytes", "Size of the log on disk.")
	stateSize  = metrics.Desc("state_file_bytes", "Size of the state file.")

	flushSeconds  = metrics.Desc("flush_duration_seconds", "Time to write changes to the state file and sync it.")
	flushSessions = metrics.Desc("flush_written_sessions_total", "Sessions written to the state file.")
	flushDeletes  = metrics.Desc("flush_deleted_sessions_total", "Sessions deleted from the state file.")
)

var descs = []*prometheus.Desc{
	role, hasLeader, votes, members, term, last, commit, applied, flushed, lag, elections, leaders, clock,
	batchOperations, batchBytes, batchSeconds, logSeconds, logWritten, logSize, stateSize,
	flushSeconds, flushSessions, flushDeletes,
}

// Add registers a store's metrics.
func Add(reg prometheus.Registerer, source Source) {
	reg.MustRegister(metrics.Collector(descs, func(out metrics.Out) {
		status(out, source.Status())
		counts(out, source.Metrics())
	}))
}

func status(out metrics.Out, s raftstore.Status) {
	for _, r := range roles {
		out.Truth(role, r == s.Role, string(r))
	}
	out.Truth(hasLeader, s.Leader != "")
	out.Truth(votes, s.Voter)
	out.Gauge(term, float64(s.Term))
	out.Gauge(last, float64(s.LastIndex))
	out.Gauge(commit, float64(s.Commit))
	out.Gauge(applied, float64(s.Applied))
	out.Gauge(flushed, float64(s.Flushed))
	// Applied may be above Commit here, since it was read later.
	out.Gauge(lag, float64(max(s.Commit, s.Applied)-s.Applied))
	out.Gauge(logSize, float64(s.LogSize))
	out.Gauge(stateSize, float64(s.StateSize))
}

func counts(out metrics.Out, m raftstore.Metrics) {
	out.Gauge(members, float64(m.Voters), "voter")
	out.Gauge(members, float64(m.Nonvoters), "nonvoter")
	out.Counter(elections, float64(m.Elections))
	out.Counter(leaders, float64(m.LeaderChanges))
	for _, c := range m.Clocks {
		out.Gauge(clock, c.Offset.Seconds(), c.Node)
	}
	histogram(out, batchOperations, m.BatchOperations)
	histogram(out, batchBytes, m.BatchBytes)
	histogram(out, batchSeconds, m.BatchSeconds)
	histogram(out, logSeconds, m.LogWriteSeconds)
	out.Counter(logWritten, float64(m.LogWriteBytes))
	histogram(out, flushSeconds, m.FlushSeconds)
	out.Counter(flushSessions, float64(m.FlushSessions))
	out.Counter(flushDeletes, float64(m.FlushDeletes))
}

func histogram(out metrics.Out, d *prometheus.Desc, h raftstore.Histogram) {
	out.Histogram(d, h.Bounds, h.Buckets, h.Sum)
}
