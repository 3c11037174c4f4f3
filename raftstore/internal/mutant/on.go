//go:build mutants

package mutant

var (
	NoReadRound bool
	NoResults   bool
)
