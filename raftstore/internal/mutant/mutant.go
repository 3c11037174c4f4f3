//go:build !mutants

// Package mutant has a switch for each mechanism that "make sim-mutants" takes away, to show that the simulation notices.
// They are constants, and off: only a build with the tag "mutants" can turn one on.
package mutant

// What can be missing.
const (
	NoReadRound   = false // a leader answers reads without asking a majority whether it still leads
	NoResults     = false // a request that is asked again is carried out again
	VoteForPlaces = false // votes are kept, and leaders compared, by address and not by server ID
	OneLife       = false // a node that was wiped comes back under the ID that it had
	StampsOnly    = false // a session ends when an entry says so, whatever time it is
)
