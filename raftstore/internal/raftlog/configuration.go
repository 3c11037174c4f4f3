package raftlog

import "github.com/hashicorp/raft"

// The configuration tracker knows the index of the newest configuration in the log, which Raft does not report, and
// whether this node is the sole voter. Each read asks for the latter; asking Raft would cost as much as the rest of a
// read.
//
// A configuration is in force as soon as it is in the log (Raft thesis, section 4.1). So a configuration with other
// voters counts from before it is stored, and a configuration without other voters from after it is stored.

// SoleVoter tells whether this node is the only voter. It is never true while there may be others; it may be false
// while there are none.
func (l *Log) SoleVoter() bool { return l.soleVoter.Load() }

// Follow initializes the tracker with the configuration that Raft found when it started. Nobody changes the
// configuration until Follow has returned.
func (l *Log) Follow(servers []raft.Server) { l.soleVoter.Store(l.onlyVoter(servers)) }

// VotersUnknown makes SoleVoter false until the next configuration is stored. It is called, for example, when a
// snapshot brings another configuration.
func (l *Log) VotersUnknown() { l.soleVoter.Store(false) }

// Configured is the index of the newest configuration that was in the log, even if that entry was deleted again. It
// may be 0 when the newest configuration came with a snapshot. That configuration is applied already.
func (l *Log) Configured() uint64 { return l.configured.Load() }

func (l *Log) sees(index uint64) { l.configured.Store(max(l.configured.Load(), index)) }

// onlyVoter tells whether no other server in a configuration votes.
func (l *Log) onlyVoter(servers []raft.Server) bool {
	for _, s := range servers {
		if s.Suffrage == raft.Voter && s.ID != raft.ServerID(l.self) {
			return false
		}
	}
	return len(servers) > 0
}

// willFollow looks for configurations among entries that are about to be stored. It tells whether there are any
// (changes), and whether this node is the sole voter once they are stored (sole).
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
