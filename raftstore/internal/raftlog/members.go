package raftlog

import "github.com/hashicorp/raft"

// The log tracks the newest configuration in it: where it is, which Raft does not say, and whether this node is the
// only voter, which each read asks. What Raft itself has to say of that costs as much as the rest of a read.
//
// A configuration is in force as soon as it is in the log (Raft thesis, section 4.1). So a configuration that has other
// voters counts from before it is stored, and one that has none from when it is.

// SoleVoter tells whether this node is the only voter. It is never true while there may be others; it may be false
// while there are none.
func (l *Log) SoleVoter() bool { return l.soleVoter.Load() }

// Follow takes note of the configuration that Raft has found when it started, and which nobody changes yet.
func (l *Log) Follow(servers []raft.Server) { l.soleVoter.Store(l.onlyVoter(servers)) }

// VotersUnknown has SoleVoter be false until the next configuration is stored. A snapshot brings another configuration.
func (l *Log) VotersUnknown() { l.soleVoter.Store(false) }

// Configured is the index of the newest configuration, or of one that was deleted again. It may be 0 when a
// snapshot came with a newer one, which then is applied.
func (l *Log) Configured() uint64 { return l.configured.Load() }

func (l *Log) sees(index uint64) { l.configured.Store(max(l.configured.Load(), index)) }

// onlyVoter tells whether nobody else could be elected by these servers.
func (l *Log) onlyVoter(servers []raft.Server) bool {
	for _, s := range servers {
		if s.Suffrage == raft.Voter && s.ID != l.self {
			return false
		}
	}
	return len(servers) > 0
}

// willFollow takes note of configurations that are about to be stored. It tells whether there are any, and whether this
// node is the only voter when they are stored.
func (l *Log) willFollow(es []*raft.Log) (sole, changes bool) {
	for _, e := range es {
		if e.Type != raft.LogConfiguration {
			continue
		}
		sole, changes = l.onlyVoter(raft.DecodeConfiguration(e.Data).Servers), true
		if !sole {
			l.VotersUnknown()
		}
		l.sees(e.Index)
	}
	return sole, changes
}
