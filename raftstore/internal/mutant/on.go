//go:build mutants

package mutant

var (
	NoReadRound   bool
	NoResults     bool
	VoteForPlaces bool
	OneLife       bool
	StampsOnly    bool
)
