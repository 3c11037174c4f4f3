//go:build !mutants

// Package mutant has a switch for each mechanism that "make sim-mutants" takes away, to show that the simulation
// notices. They are constants, and off: only a build with the tag "mutants" can turn one on.
package mutant

// What can be missing.
const (
	NoReadRound   = false // a leader answers reads without asking a majority whether it still leads
	NoResults     = false // a repeated request is carried out again
	VoteForPlaces = false // votes are kept, and leaders compared, by address and not by server ID
	OneLife       = false // a wiped node comes back under its former ID
	StampsOnly    = false // a session expires by the stamps of entries only, not by the leader's time
)
